package transfer

import (
	"context"
	"io"
	"sync"

	"github.com/cax-go/cax/checksum"
	"golang.org/x/sync/errgroup"
)

// A pipe moves the bytes of one file.
type pipe struct {
	*run
	file   *file
	src    io.Reader
	digest *checksum.EntryDigest
	offset int64 // of the next byte that is read
}

// take waits until one more chunk of the copy may be in memory.
func (p *pipe) take(ctx context.Context) (*[]byte, error) {
	select {
	case p.slots <- struct{}{}:
		return chunks.Get().(*[]byte), nil
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

// give ends the use of a chunk. One whose write failed, or was given up, may
// still be read: it is left to the garbage collector.
func (p *pipe) give(buf *[]byte, reusable bool) {
	<-p.slots
	if reusable {
		chunks.Put(buf)
	}
}

// next reads and hashes one chunk, up to the size that was listed and one byte
// beyond, which would tell that the file grew. It returns no bytes at the end.
func (p *pipe) next(ctx context.Context, buf []byte) (int, error) {
	if ctx.Err() != nil {
		return 0, ended(ctx)
	}
	want := min(int64(len(buf)), p.file.size-p.offset+1)
	n, err := io.ReadFull(p.src, buf[:want])
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return 0, orEnded(ctx, err)
	}
	p.digest.Write(buf[:n])
	p.offset += int64(n)
	if p.offset > p.file.size {
		return 0, p.changed(p.file, "it grew")
	}
	return n, p.throttle(ctx, n)
}

// straight writes in order: for targets that can do no other, and for files so
// small that nothing would overlap.
func (p *pipe) straight(ctx context.Context, dst io.Writer) error {
	buf, err := p.take(ctx)
	if err != nil {
		return err
	}
	for {
		n, err := p.next(ctx, *buf)
		if err == nil && n > 0 {
			_, err = dst.Write((*buf)[:n])
		}
		if err != nil || n == 0 || p.offset == p.file.size && n < len(*buf) {
			if err == nil {
				p.watch.move(int64(n))
			}
			p.give(buf, err == nil)
			return orEnded(ctx, err)
		}
		p.watch.move(int64(n))
	}
}

// striped keeps several chunks in flight and notes in the journal how far the
// file is durable without a gap.
func (p *pipe) striped(ctx context.Context, dst WriterAt) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	front := &front{offset: p.offset, ready: map[int64]int64{}}
	noted := p.offset
	syncs := new(errgroup.Group)
	var failed error
	for {
		buf, err := p.take(gctx)
		if err != nil {
			failed = err
			break
		}
		at := p.offset
		n, err := p.next(gctx, *buf)
		if err != nil || n == 0 {
			p.give(buf, err == nil)
			failed = err
			break
		}
		g.Go(func() error {
			_, err := dst.WriteAt((*buf)[:n], at)
			p.give(buf, err == nil)
			if err != nil {
				return orEnded(gctx, err)
			}
			p.watch.move(int64(n))
			front.add(at, int64(n))
			return nil
		})
		// Whole blocks only: the manifest has sums of these, so that what is gone on
		// from can be verified.
		if reached := front.reached() / journalEvery * journalEvery; reached > noted {
			noted = reached
			// One at a time, so that the journal only goes forward. An error says
			// that bytes were lost, and may be said only once.
			if failed = syncs.Wait(); failed != nil {
				break
			}
			syncs = new(errgroup.Group)
			syncs.Go(func() error {
				_, err := dst.Sync(gctx)
				if err == nil {
					p.journal.reached(p.file, reached)
				}
				return orEnded(gctx, err)
			})
		}
	}
	// The group's context ends when it has been waited for: a sync under way must not
	// take that for its own end.
	serr := syncs.Wait()
	err := g.Wait()
	if err == nil {
		err = serr
	}
	if err == nil {
		err = failed
	}
	return orEnded(ctx, err)
}

// A front is the offset up to which everything was written, while writes end in
// any order.
type front struct {
	mu     sync.Mutex
	offset int64
	ready  map[int64]int64 // beyond the offset: start and length
}

func (f *front) add(at, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready[at] = n
	for {
		n, ok := f.ready[f.offset]
		if !ok {
			return
		}
		delete(f.ready, f.offset)
		f.offset += n
	}
}

func (f *front) reached() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.offset
}
