package rucio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/transfer"
	"go.uber.org/zap"
)

// one fetches one file.
func (t *downloading) one(ctx context.Context, w *fetchable) (*DownloadedFile, error) {
	bad := func(kind error, err error, hint string) error {
		return &Error{Op: "download", Thing: w.DID.String(), Kind: kind, Err: err, Hint: hint}
	}
	if w.Adler32 == "" && w.MD5 == "" && !t.job.Unchecked {
		return nil, bad(ErrCorrupt, errors.New("the catalogue has no checksum of it, so that nobody could say whether it is right"), "")
	}
	if err := os.MkdirAll(filepath.Dir(w.path), 0o755); err != nil {
		return nil, err
	}
	there, wrong, err := t.there(ctx, w)
	switch {
	case err != nil:
		return nil, err
	case there != nil:
		t.progress.Skipped(there.Bytes)
		return there, nil
	case wrong != nil && !t.job.Overwrite:
		return nil, bad(ErrConflict, fmt.Errorf("%s is another file: %w", w.path, wrong), "move it away, or say that it may be overwritten")
	}
	p, err := openPart(ctx, w.path+".part")
	if err != nil {
		return nil, err
	}
	used, err := t.complete(ctx, w, p)
	if err == nil {
		err = t.name(p.path, w.path)
	}
	if err = errors.Join(err, p.close()); err != nil {
		if there, _, terr := t.there(ctx, w); errors.Is(err, fs.ErrExist) && terr == nil && there != nil {
			return there, nil // somebody else was faster
		}
		return nil, err
	}
	out := &DownloadedFile{DID: w.DID, Path: w.path, State: Fetched, RSE: used}
	out.is(p.d)
	return out, nil
}

// there looks at what has the name of a file: the file, or what is wrong with it.
func (t *downloading) there(ctx context.Context, w *fetchable) (file *DownloadedFile, wrong, err error) {
	switch st, err := os.Lstat(w.path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case !st.Mode().IsRegular():
		return nil, nil, &Error{Op: "download", Thing: w.DID.String(), Kind: ErrConflict, Err: fmt.Errorf("%s is no file", w.path), Hint: "move it away"}
	}
	f, err := os.Open(w.path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	d := checksum.NewDigest(checksum.Adler32, checksum.MD5)
	if _, err := io.Copy(d, &interruptible{ctx, f}); err != nil {
		return nil, nil, err
	}
	if wrong := w.wrong(d); wrong != nil {
		return nil, wrong, nil
	}
	out := &DownloadedFile{DID: w.DID, Path: w.path, State: There}
	out.is(d)
	return out, nil, nil
}

func (f *DownloadedFile) is(d *checksum.Digest) {
	f.Bytes, f.Adler32, f.MD5 = d.Size(), d.Sum(checksum.Adler32).Bare(), d.Sum(checksum.MD5).Bare()
}

// wrong says how a file differs from what the catalogue says; nil if it does not.
func (w *fetchable) wrong(d *checksum.Digest) error {
	switch {
	case w.Bytes >= 0 && d.Size() != w.Bytes:
		return fmt.Errorf("it has %d bytes and should have %d", d.Size(), w.Bytes)
	case w.Adler32 != "" && !SameAdler32(d.Sum(checksum.Adler32).Bare(), w.Adler32):
		return fmt.Errorf("its adler32 is %s and should be %s", d.Sum(checksum.Adler32).Bare(), w.Adler32)
	case w.MD5 != "" && !strings.EqualFold(d.Sum(checksum.MD5).Bare(), w.MD5):
		return fmt.Errorf("its md5 is %s and should be %s", d.Sum(checksum.MD5).Bare(), w.MD5)
	}
	return nil
}

// complete brings what is missing into a part until it is right. The replicas are read one
// after the other, each going on where the one before failed. If the result is wrong and
// came from several, each is asked for the whole file. used are the RSEs that gave bytes.
func (t *downloading) complete(ctx context.Context, w *fetchable, p *part) (used []string, err error) {
	t.progress.Skipped(p.d.Size())
	without := map[string]bool{}
	alone := false
	var errs []error
	give := func(err error) error {
		all := errors.Join(append(errs, err)...)
		kind := kindOfMove(all)
		var e *Error
		if kind == nil && errors.As(all, &e) {
			kind = e.Kind
		}
		return &Error{Op: "download", Thing: w.DID.String(), Kind: kind, Err: all}
	}
	for failures := 0; ; {
		before := p.d.Size()
		used, err := t.fill(ctx, w, p, without, alone)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			wrong := w.wrong(p.d)
			if wrong == nil {
				return used, p.f.Sync()
			}
			err = &Error{Op: "verify", Thing: w.DID.String(), Kind: ErrCorrupt, Err: fmt.Errorf("what came from %s is not what the catalogue says: %w", strings.Join(used, ", "), wrong)}
			if rerr := p.restart(); rerr != nil {
				return nil, give(rerr)
			}
			t.note(w, err)
			if before > 0 {
				continue // it may have been the part
			}
			if len(used) == 0 {
				return nil, give(err) // an empty file, with the sum of another
			}
			if errs = append(errs, err); len(used) > 1 {
				alone = true // which of them it was is not known
				continue
			}
		} else {
			t.note(w, err)
			var own *local
			if errors.As(err, &own) {
				return nil, give(err)
			}
			if !alone {
				// All were tried.
				if p.d.Size() > before {
					failures = 0
				}
				failures++
				passing := errors.Is(err, transfer.ErrTransient) || errors.Is(err, transfer.ErrStalled) || errors.Is(err, io.ErrUnexpectedEOF)
				if cfg := &t.d.Client.cfg; passing && failures <= cfg.Retries {
					if err := sleep(ctx, pause(cfg.Backoff, failures)); err != nil {
						return nil, err
					}
					continue
				}
				return nil, give(err)
			}
			errs = append(errs, err)
			if rerr := p.restart(); rerr != nil {
				return nil, give(rerr)
			}
		}
		if next := t.from.of(w.FileReplicas, without); len(used) == 0 && len(next) > 0 {
			used = []string{next[0].RSE}
		}
		for _, rse := range used {
			without[rse] = true
		}
		if len(t.from.of(w.FileReplicas, without)) == 0 {
			return nil, give(nil)
		}
	}
}

func (t *downloading) note(w *fetchable, err error) {
	if t.d.Log != nil {
		t.d.Log.Warn("download goes on elsewhere, or anew", zap.String("did", w.DID.String()), zap.Error(err))
	}
}

// fill appends to a part what is missing.
func (t *downloading) fill(ctx context.Context, w *fetchable, p *part, without map[string]bool, alone bool) (used []string, err error) {
	if w.Bytes >= 0 && p.d.Size() > w.Bytes {
		if err := p.restart(); err != nil {
			return nil, err
		}
	}
	if p.d.Size() == w.Bytes {
		return nil, nil
	}
	r, err := t.from.open(ctx, w.FileReplicas, p.d.Size(), without, alone)
	if errors.Is(err, transfer.ErrUnsupported) && p.d.Size() > 0 {
		// Whole files are to be had, it may be.
		if err := p.restart(); err != nil {
			return nil, err
		}
		r, err = t.from.open(ctx, w.FileReplicas, 0, without, alone)
	}
	if errors.Is(err, transfer.ErrUnsupported) {
		return t.byProgram(ctx, w, p, without, alone)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	_, err = io.Copy(io.MultiWriter(p, counter(t.progress.Moved)), r)
	return r.from(), err
}

type counter func(int64)

func (c counter) Write(p []byte) (int, error) {
	c(int64(len(p)))
	return len(p), nil
}

// byProgram fetches a part by a program that wants paths, where there is nothing else.
func (t *downloading) byProgram(ctx context.Context, w *fetchable, p *part, without map[string]bool, alone bool) (used []string, err error) {
	var errs []error
	for _, from := range t.from.of(w.FileReplicas, without) {
		st, err := t.from.storage(ctx, from)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g, ok := st.(storage.FileGetter)
		if !ok {
			continue
		}
		whole := p.path + ".program"
		if err := os.Remove(whole); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, &local{err}
		}
		err = g.GetFile(ctx, from.URL, whole, t.progress.Moved)
		if err == nil {
			return []string{from.RSE}, p.replace(ctx, whole)
		}
		if rerr := os.Remove(whole); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		if errs = append(errs, err); alone {
			break
		}
	}
	all := errors.Join(errs...)
	return nil, &Error{Op: "read", Thing: w.DID.String(), Kind: kindOfMove(all), Err: all}
}

// name gives a verified part its name.
func (t *downloading) name(part, path string) error {
	taken := &Error{Op: "download", Thing: path, Kind: ErrConflict, Err: fs.ErrExist, Hint: "somebody else made it meanwhile"}
	if t.job.Overwrite {
		return errors.Join(os.Rename(part, path), syncDir(path))
	}
	// A link refuses to replace; file systems without links get a rename after a look.
	switch err := os.Link(part, path); {
	case err == nil:
		return errors.Join(os.Remove(part), syncDir(path))
	case errors.Is(err, fs.ErrExist):
		return taken
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return taken
	}
	return errors.Join(os.Rename(part, path), syncDir(path))
}

// syncDir makes the name of a file durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // file systems that have no such thing
	}
	return errors.Join(err, d.Close())
}
