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

// next reads and hashes one chunk. It returns fewer bytes than asked for, or
// none, only at the end. No more than the listed size is read, and one byte
// beyond it, which tells that the file grew.
func (p *pipe) next(ctx context.Context, buf []byte) (int, error) {
	if ctx.Err() != nil {
		return 0, ended(ctx)
	}
	n, err := io.ReadFull(p.src, buf)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	p.digest.Write(buf[:n])
	if p.digest.Size() > p.file.size {
		return 0, p.changed(p.file, "it grew")
	}
	return n, p.throttle(ctx, n)
}

// straight writes in order: for targets that can do no other, and for files so
// small that nothing would overlap.
func (p *pipe) straight(ctx context.Context, dst io.Writer) error {
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	for {
		n, err := p.next(ctx, *buf)
		if err != nil || n == 0 {
			return err
		}
		if _, err := dst.Write((*buf)[:n]); err != nil {
			return cmpErr(ctx, err)
		}
		p.watch.move(int64(n))
		if n < len(*buf) {
			return nil
		}
	}
}

// striped keeps several chunks in flight and notes in the journal how far the
// file is durable without a gap.
func (p *pipe) striped(ctx context.Context, dst WriterAt) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	front := &front{offset: p.offset, ready: map[int64]int64{}}
	noted := p.offset
	var syncs sync.WaitGroup
	defer syncs.Wait()
	var failed error
	for gctx.Err() == nil {
		buf := chunks.Get().(*[]byte)
		at := p.offset
		n, err := p.next(gctx, *buf)
		if err != nil || n == 0 {
			chunks.Put(buf)
			failed = err
			break
		}
		p.offset += int64(n)
		g.Go(func() error {
			defer chunks.Put(buf)
			if _, err := dst.WriteAt((*buf)[:n], at); err != nil {
				return cmpErr(gctx, err)
			}
			p.watch.move(int64(n))
			front.add(at, int64(n))
			return nil
		})
		if reached := front.reached(); reached-noted >= journalEvery {
			noted = reached
			syncs.Wait() // one at a time, so that the journal only goes forward
			syncs.Go(func() {
				if _, err := dst.Sync(gctx); err == nil {
					p.journal.reached(p.file, reached)
				}
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if failed == nil && ctx.Err() != nil {
		return ended(ctx)
	}
	return failed
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
