package rucio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/transfer"
	"go.uber.org/zap"
)

// put sends a file, verifies it there, and gives it its name.
func (t *uploading) put(ctx context.Context, st storage.Storage, renames bool, f *UploadFile, out *UploadedFile) error {
	at := out.PFN
	if err := t.journal.begin(f, out); err != nil {
		return err
	}
	if renames {
		at += unfinished
		if err := st.Remove(ctx, at); err != nil {
			return err
		}
	}
	d, err := t.send(ctx, st, f, at)
	if err == nil {
		out.is(d)
		out.State = Uploaded
		err = t.arrived(ctx, st, at, d)
	}
	if err == nil {
		err = t.differs(out)
	}
	if err != nil {
		// What is not right must not lie there; what is unfinished goes with the next try.
		if rerr := st.Remove(context.WithoutCancel(ctx), at); rerr != nil && t.u.Log != nil {
			t.u.Log.Warn("what is not right was left at the RSE", zap.String("pfn", at), zap.Error(rerr))
		}
		return err
	}
	if renames {
		if err := st.Rename(ctx, at, out.PFN); err != nil {
			return err
		}
	}
	return t.journal.done(f, out)
}

// send moves the bytes, and hashes them as they pass.
func (t *uploading) send(ctx context.Context, st storage.Storage, f *UploadFile, at string) (*checksum.Digest, error) {
	if p, ok := st.(storage.FilePutter); ok {
		d, err := t.measure(ctx, f)
		if err == nil {
			err = p.PutFile(ctx, f.Path, at, t.progress.Moved)
		}
		if !errors.Is(err, transfer.ErrUnsupported) {
			return d, err
		}
	}
	r, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if len(f.Sums) > 0 && f.Size >= 0 && info.Size() != f.Size {
		return nil, &Error{Op: "read", Thing: f.Path, Kind: checksum.ErrCorrupt, Err: fmt.Errorf("it has %d bytes and should have %d", info.Size(), f.Size)}
	}
	d := f.digest()
	h := &hashing{r: r, d: d, moved: t.progress.Moved}
	err = st.Put(ctx, at, h, info.Size())
	h.end()
	if err != nil {
		return nil, err
	}
	if d.Size() != info.Size() {
		return nil, &Error{Op: "read", Thing: f.Path, Kind: transfer.ErrSourceChanged, Err: fmt.Errorf("%d bytes of %d were read", d.Size(), info.Size())}
	}
	if now, err := r.Stat(); err != nil {
		return nil, err
	} else if now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime()) {
		return nil, &Error{Op: "read", Thing: f.Path, Kind: transfer.ErrSourceChanged, Err: errors.New("it was written to meanwhile")}
	}
	return d, f.check(d)
}

// A hashing reader sums what is read from it. A Put that was given up may still read for
// a moment; end makes it read nothing more.
type hashing struct {
	mu    sync.Mutex
	r     io.Reader
	d     *checksum.Digest
	moved func(int64)
	ended bool
}

func (h *hashing) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return 0, io.ErrClosedPipe
	}
	n, err := h.r.Read(p)
	h.d.Write(p[:n])
	h.moved(int64(n))
	return n, err
}

func (h *hashing) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
}

// interruptible ends reading with its context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// arrived verifies what lies at the RSE.
func (t *uploading) arrived(ctx context.Context, st storage.Storage, at string, d *checksum.Digest) error {
	info, err := st.Stat(ctx, at)
	if err != nil {
		return err
	}
	if info.Size != d.Size() {
		return &Error{Op: "verify", Thing: path.Base(at), Kind: ErrCorrupt, Err: fmt.Errorf("%d of %d bytes arrived", info.Size, d.Size())}
	}
	sum, err := t.adlerAt(ctx, st, at)
	if err != nil {
		return err
	}
	if want := d.Sum(checksum.Adler32); sum != want {
		return &Error{Op: "verify", Thing: path.Base(at), Kind: ErrCorrupt, Err: fmt.Errorf("it is %s there and should be %s", sum, want)}
	}
	return nil
}

// adlerAt is the adler32 of what lies at an address: the far side's word for it, or, where
// it has none, of the bytes read back.
func (t *uploading) adlerAt(ctx context.Context, st storage.Storage, pfn string) (checksum.Sum, error) {
	if h, ok := st.(storage.Hasher); ok {
		sum, err := h.Hash(ctx, pfn, checksum.Adler32)
		if !errors.Is(err, transfer.ErrUnsupported) {
			return sum, err
		}
	}
	r, err := st.Get(ctx, pfn, 0)
	if err != nil {
		return checksum.Sum{}, err
	}
	defer r.Close()
	d := checksum.NewDigest(checksum.Adler32)
	if _, err := io.Copy(d, r); err != nil {
		return checksum.Sum{}, err
	}
	return d.Sum(checksum.Adler32), nil
}
