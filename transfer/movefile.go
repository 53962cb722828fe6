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

	// inFlight is how many chunks of one file are being written at once, where
	// the target can write at offsets.
	inFlight = 8

	// every so many bytes of a file the journal notes how far it is durable.
	journalEvery = 64 << 20

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
	offset, err := r.resumeAt(ctx, f, digest)
	if err != nil {
		return checksum.Entry{}, err
	}
	if offset > 0 || f.size == 0 {
		r.watch.skipped(offset)
	}
	if offset < f.size || f.size == 0 || !r.journal.get(f).Done {
		if err := r.stream(ctx, f, offset, digest); err != nil {
			return checksum.Entry{}, err
		}
	}
	e := digest.Entry()
	e.Path, e.ModTime = f.path, f.mtime.UTC()
	if err := r.compare(f, &e); err != nil {
		r.journal.forget(f)
		return e, errors.Join(err, r.Target.Backend.Remove(ctx, r.target(f.path)))
	}
	r.journal.done(f)
	return e, nil
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
// to the digest. The bytes are read from the side that is this machine: staged
// ones are thereby verified against what is on disk.
func (r *run) resumeAt(ctx context.Context, f *file, digest *checksum.EntryDigest) (int64, error) {
	if !r.result.Resumed {
		return 0, nil
	}
	staged, err := r.Target.Backend.Lstat(ctx, r.target(f.path))
	if errors.Is(err, ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	m := r.journal.get(f)
	if r.journal.w == nil && staged.Size == f.size && staged.ModTime.Unix() == f.mtime.Unix() {
		m = mark{Size: f.size, Offset: f.size, Done: true}
		r.journal.done(f)
	}
	if !staged.Mode.IsRegular() || m.Offset == 0 || staged.Size < m.Offset || m.Done && staged.Size != f.size {
		return 0, r.Target.Backend.Remove(ctx, r.target(f.path))
	}
	from, at := r.Source.Backend, f.at
	if _, ok := r.Target.Backend.(Disk); ok {
		from, at = r.Target.Backend, r.target(f.path)
	}
	src, err := from.Open(ctx, at, 0)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	if err := r.feed(ctx, io.LimitReader(src, m.Offset), digest); err != nil {
		return 0, err
	}
	want, known := r.entry(f.path)
	got := digest.Entry()
	bad := digest.Size() != m.Offset
	for i := range min(m.Offset, int64(len(got.Blocks))*checksum.BlockSize) / checksum.BlockSize {
		bad = bad || known && int(i) < len(want.Blocks) && got.Blocks[i] != want.Blocks[i]
	}
	if m.Done && known && !bad {
		bad = r.compare(f, &got) != nil
	}
	if bad {
		// What is staged, or what was sent, is not what it should be.
		r.journal.forget(f)
		digest.Reset()
		return 0, r.Target.Backend.Remove(ctx, r.target(f.path))
	}
	return m.Offset, nil
}

// feed reads to the end of src into the digest.
func (r *run) feed(ctx context.Context, src io.Reader, digest io.Writer) error {
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	for {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		n, err := src.Read(*buf)
		r.watch.alive()
		digest.Write((*buf)[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// stream copies a file from an offset. Reading, hashing and writing overlap.
func (r *run) stream(ctx context.Context, f *file, offset int64, digest *checksum.EntryDigest) error {
	src, err := r.Source.Backend.Open(ctx, f.at, offset)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := r.Target.Backend.Create(ctx, r.target(f.path), offset, f.size, f.mtime)
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
	now, err := r.Source.Backend.Lstat(ctx, f.at)
	if err != nil {
		return err
	}
	if now.Size != f.size || !now.ModTime.Equal(f.mtime) {
		return r.changed(f, "its size or modification time is not what it was")
	}
	return nil
}

func (r *run) changed(f *file, how string) error {
	return &Error{Op: "read", Place: r.Source.Backend.String(), Path: f.at, Kind: ErrSourceChanged, Err: errors.New(how),
		Hint: "it is tried again when it is at rest"}
}

// throttle waits until n more bytes may pass.
func (r *run) throttle(ctx context.Context, n int) error {
	if r.Limit == nil {
		return nil
	}
	for n > 0 {
		step := n
		if b := r.Limit.Burst(); b > 0 && step > b {
			step = b
		}
		if err := r.Limit.WaitN(ctx, step); err != nil {
			return cmpErr(ctx, err)
		}
		r.watch.alive()
		n -= step
	}
	return nil
}

func cmpErr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return err
}
