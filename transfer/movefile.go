package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
)

const (
	// chunk is how much is read, and written, at once.
	chunk = 1 << 20

	// buffered is how many chunks of one copy are in memory at once.
	buffered = 64

	// inFlight is how many chunks of one file are being written at once, where
	// the target can write at offsets.
	inFlight = 16

	// every so many bytes of a file the journal notes how far it is durable.
	journalEvery = checksum.BlockSize

	// long is the round trip from which a link counts as long.
	long = 5 * time.Millisecond
)

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// moveFile gets one file into staging and returns its entry. A file that is
// finished is not sent again, a partial one goes on where it was durable.
func (r *run) moveFile(ctx context.Context, f *file) (checksum.Entry, error) {
	if f.dir {
		return checksum.Entry{Path: f.path, Dir: true}, r.makeDir(ctx, f.path)
	}
	if err := r.makeParents(ctx, f.path); err != nil {
		return checksum.Entry{}, err
	}
	digest := checksum.NewEntryDigest(r.algorithms(f)...)
	defer digest.Close()
	offset, complete, err := r.resumeAt(ctx, f, digest)
	if err != nil {
		return checksum.Entry{}, err
	}
	if offset > 0 {
		r.watch.skipped(offset)
		r.mu.Lock()
		r.resumed = append(r.resumed, f)
		r.mu.Unlock()
	}
	if f.lacks && !complete {
		return checksum.Entry{}, r.damaged(fmt.Errorf("it does not have %s as it should be", Quote(f.path)))
	}
	if !complete {
		if err := r.stream(ctx, f, offset, digest); err != nil {
			return checksum.Entry{}, err
		}
	}
	e := digest.Entry()
	e.Path, e.ModTime = f.path, f.mtime.UTC()
	if err := r.compare(f, &e); err != nil {
		return e, errors.Join(err, r.drop(ctx, f))
	}
	if !complete {
		r.journal.done(f)
	}
	return e, nil
}

// entry is what the manifest says of a path.
func (r *run) entry(p string) (checksum.Entry, bool) {
	if r.Manifest == nil {
		return checksum.Entry{}, false
	}
	if r.source.single {
		return r.Manifest.Entries[0], true
	}
	return r.Manifest.Find(p)
}

// algorithms are those that are computed while a file passes: the one that the
// manifest is compared by, or all that a new manifest has.
func (r *run) algorithms(f *file) []checksum.Algorithm {
	e, ok := r.entry(f.path)
	if !ok {
		return checksum.DefaultAlgorithms()
	}
	return []checksum.Algorithm{comparedBy(&e)}
}

// comparedBy is the algorithm that files are compared by: XXH3-128, else the
// first that the manifest has.
func comparedBy(e *checksum.Entry) checksum.Algorithm {
	if e.Sum(checksum.XXH3_128).IsZero() && len(e.Sums) > 0 {
		return e.Sums[0].Algorithm()
	}
	return checksum.XXH3_128
}

// compare compares what passed with the manifest.
func (r *run) compare(f *file, e *checksum.Entry) error {
	want, ok := r.entry(f.path)
	if !ok {
		return nil
	}
	a := comparedBy(&want)
	if w, g := want.Sum(a), e.Sum(a); w != g || w.IsZero() {
		return &Error{Op: "read", Place: r.Source.Backend.String(), Path: f.at, Kind: ErrCorrupt,
			Err:  fmt.Errorf("the bytes read give %s, the manifest says %s", g, w),
			Hint: "verify the source at its own site"}
	}
	return nil
}

// resumeAt finds out how much of a file is staged and good, and feeds these bytes
// to the digest. They are read from the side that is this machine: staged ones
// are thereby verified as they are on disk. A file whose staged part is not good
// is dropped.
func (r *run) resumeAt(ctx context.Context, f *file, digest *checksum.EntryDigest) (offset int64, complete bool, err error) {
	staged, ok := r.found(f)
	if !ok {
		return 0, false, nil
	}
	m := r.journal.get(f)
	if !r.journal.kept() && staged.Size == f.size && staged.ModTime.Unix() == f.mtime.Unix() {
		m.Offset, m.Done = f.size, true
	}
	if m.Offset == 0 && !m.Done || staged.Size < m.Offset || m.Done && staged.Size != f.size {
		return 0, false, r.drop(ctx, f)
	}
	from, at := r.Source.Backend, f.at
	if _, ok := r.Target.Backend.(Disk); ok {
		from, at = r.Target.Backend, r.at(f.path)
	}
	src, err := open(ctx, from, at, 0, f.size)
	if errors.Is(err, ErrNotExist) && at == f.at {
		return 0, false, r.changed(f, "it is gone")
	}
	if err != nil {
		return 0, false, err
	}
	defer src.Close()
	if err := r.feed(ctx, io.LimitReader(src, m.Offset), digest); err != nil {
		return 0, false, err
	}
	if !r.resumable(f, m, digest) {
		digest.Reset()
		return 0, false, r.drop(ctx, f)
	}
	return m.Offset, m.Done, nil
}

// resumable reports whether the part that was fed to the digest is what the
// manifest says, as far as that says anything about a part.
func (r *run) resumable(f *file, m mark, digest *checksum.EntryDigest) bool {
	if digest.Size() != m.Offset {
		return false
	}
	want, known := r.entry(f.path)
	if !known {
		return true
	}
	got := digest.Entry()
	for i := range min(int(m.Offset/checksum.BlockSize), len(got.Blocks), len(want.Blocks)) {
		if got.Blocks[i] != want.Blocks[i] {
			return false
		}
	}
	return !m.Done || r.compare(f, &got) == nil
}

// open opens a file of which a listing told the size.
func open(ctx context.Context, b Backend, path string, offset, size int64) (io.ReadCloser, error) {
	if s, ok := b.(SizedOpener); ok {
		return s.OpenSized(ctx, path, offset, size)
	}
	return b.Open(ctx, path, offset)
}

// feed reads to the end of src into the digest.
func (r *run) feed(ctx context.Context, src io.Reader, digest io.Writer) error {
	buf := chunks.Get().(*[]byte)
	for {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		n, err := src.Read(*buf)
		r.watch.alive()
		digest.Write((*buf)[:n])
		if err == io.EOF {
			chunks.Put(buf)
			return nil
		}
		if err != nil {
			return err // the read may still go on: its buffer is not used again
		}
	}
}

// stream copies a file from an offset. Reading, hashing and writing overlap.
func (r *run) stream(ctx context.Context, f *file, offset int64, digest *checksum.EntryDigest) error {
	src, err := open(ctx, r.Source.Backend, f.at, offset, f.size)
	if errors.Is(err, ErrNotExist) {
		return r.changed(f, "it is gone")
	}
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := r.Target.Backend.Create(ctx, r.at(f.path), offset, f.size, f.mtime)
	if err != nil {
		return err
	}
	p := &pipe{run: r, file: f, src: src, digest: digest, offset: offset}
	if at, ok := dst.(WriterAt); ok && f.size-offset > chunk {
		err = p.striped(ctx, at)
	} else {
		err = p.straight(ctx, dst)
	}
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if n := digest.Size(); n != f.size {
		return r.changed(f, fmt.Sprintf("it gave %d bytes and was listed with %d", n, f.size))
	}
	return nil
}

func (r *run) changed(f *file, how string) error {
	return &Error{Op: "read", Place: r.Source.Backend.String(), Path: f.at, Kind: ErrSourceChanged, Err: errors.New(how),
		Hint: "it is tried again when it is at rest"}
}

// throttle waits until n more bytes may pass. To wait is not to stall. It waits
// for about a second's worth at a time, so that a changed limit is soon obeyed.
func (r *run) throttle(ctx context.Context, n int) error {
	if r.Limit == nil {
		return nil
	}
	for n > 0 {
		step := n
		if perSecond := float64(r.Limit.Limit()); perSecond < float64(step) {
			step = min(step, max(64<<10, int(perSecond)))
		}
		if b := r.Limit.Burst(); b > 0 && step > b {
			step = b
		}
		turn := r.Limit.ReserveN(time.Now(), step)
		if !turn.OK() { // the burst was made smaller in this moment
			if r.Limit.Burst() <= 0 {
				return &Error{Op: "copy", Kind: ErrInvalid, Err: errors.New("the limiter has no burst")}
			}
			continue
		}
		// A limit near zero is a pause, and not a place in a queue.
		paused := turn.Delay() > time.Minute
		for wait := turn.Delay(); wait > 0; wait = turn.Delay() {
			select {
			case <-ctx.Done():
				turn.Cancel()
				return ended(ctx)
			case <-time.After(min(wait, time.Second/4)):
			}
			r.watch.alive()
			if paused {
				break
			}
		}
		if paused {
			turn.Cancel()
			continue
		}
		n -= step
	}
	return nil
}
