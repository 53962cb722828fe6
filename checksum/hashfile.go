package checksum

import (
	"context"
	"errors"
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
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a regular file")}
	}
	if fresh {
		dropCache(f)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := f.Read(*buf)
		if n > 0 {
			w.Write((*buf)[:n])
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
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it changed while it was read")}
	}
	return after, nil
}

// FileSum hashes one file in one pass. A file that changes meanwhile is an error.
func FileSum(ctx context.Context, path string, algs ...Algorithm) ([]Sum, error) {
	d := NewDigest(algs...)
	defer d.Close()
	if _, err := read(ctx, path, d, false, nil); err != nil {
		return nil, err
	}
	return d.Sums(), nil
}

// parallel calls f for 0 ≤ i < n from so many goroutines (0: one per processor)
// and returns the first error, after all calls have ended.
func parallel(ctx context.Context, n, workers int, f func(ctx context.Context, i int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
