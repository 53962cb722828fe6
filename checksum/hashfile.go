package checksum

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"sync"
)

// readSize is how much is read at once: enough that hashing dominates, little
// enough to stay in a processor's cache.
const readSize = 1 << 20

var buffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}

// read feeds a file to w. It ends within a read after the end of ctx. With fresh
// the page cache of the file is dropped first, so that the medium is read.
func read(ctx context.Context, path string, w io.Writer, fresh bool, progress func(int64)) (fs.FileInfo, error) {
	// Not blocking: a FIFO that took a file's place must not hang us.
	f, err := openNonblock(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is not a regular file; %w", ErrUnfit)}
	}
	if fresh {
		if err := dropCache(f); err != nil {
			return nil, err
		}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var total int64
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := f.Read(*buf)
		if n > 0 {
			total += int64(n)
			if _, err := w.Write((*buf)[:n]); err != nil {
				return nil, err
			}
			if progress != nil {
				progress(int64(n))
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	after, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrChanged}
	}
	// An end of file that comes early is no end: some file systems do that.
	if total != after.Size() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%d bytes of %d: %w", total, after.Size(), io.ErrUnexpectedEOF)}
	}
	return after, nil
}

// FileSum hashes one regular file in one pass and returns the sums in the order
// of the algorithms. A file that changes meanwhile is an error, ErrChanged.
func FileSum(ctx context.Context, path string, algs ...Algorithm) ([]Sum, error) {
	d := NewDigest(algs...)
	if _, err := read(ctx, path, d, false, nil); err != nil {
		return nil, err
	}
	return d.Sums(), nil
}

// parallel calls f for 0 ≤ i < n from so many goroutines (0: one per processor)
// and returns, after all calls have ended, the first error; or that of ctx if it
// ended before all was done.
func parallel(ctx context.Context, n, workers int, f func(ctx context.Context, i int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	next := make(chan int)
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(inner, i); err != nil {
					once.Do(func() { first = err })
					cancel()
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-inner.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	if first != nil {
		return first
	}
	return ctx.Err()
}
