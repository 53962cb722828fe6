package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/cax-go/cax/transfer"
)

// small files are kept in memory while they are sent, so that they can be sent to
// where the door points without asking it first.
const small = 64 << 10

// Put implements [Storage].
func (d *dav) Put(ctx context.Context, pfn string, r io.Reader, size int64) error {
	f, err := d.parse("put", pfn)
	if err != nil {
		return err
	}
	signed := d.o.Sign != nil || f.query != ""
	if f.query == "" { // else it is signed for this one thing
		switch _, err := d.stat(ctx, f, nil); {
		case err == nil:
			return d.fault("put", f, transfer.ErrExist, nil)
		case !errors.Is(err, transfer.ErrNotExist):
			return err
		}
	}
	if !signed {
		if err := d.parents(ctx, f); err != nil {
			return err
		}
	}
	sent, err := d.put(ctx, f, r, size, signed)
	if err == nil && f.query == "" {
		err = d.arrived(ctx, f, size)
	}
	// An object store shows nothing that is not complete.
	if err != nil && (sent && !signed || errors.Is(err, transfer.ErrCorrupt)) {
		cleanup(ctx, func(ctx context.Context) { d.sweep(ctx, f, size, errors.Is(err, transfer.ErrCorrupt)) })
	}
	return orEnded(ctx, err)
}

// put sends the bytes. It reports whether some of them may have been kept.
func (d *dav) put(ctx context.Context, f file, r io.Reader, size int64, signed bool) (sent bool, _ error) {
	g := d.watch(ctx, "put", f)
	defer g.stop()
	s := d.newSource(r, size, g, f)
	c := call{op: "put", method: http.MethodPut, file: f, sign: Write, body: s, size: size, header: http.Header{}}
	if !signed {
		c.header.Set("If-None-Match", "*")
	}
	if size <= small {
		data, err := io.ReadAll(s)
		if err != nil {
			return false, orEnded(g.ctx, err)
		}
		body := bytes.NewReader(data)
		c.body = body
		c.rewind = func() error { _, err := body.Seek(0, io.SeekStart); return err }
	} else {
		c.header.Set("Expect", "100-continue")
		c.rewind = func() error { return d.again(s, f) }
	}
	resp, err := d.do(g.ctx, c)
	n, bad := s.failed()
	switch {
	case bad != nil:
		return true, orEnded(g.ctx, bad)
	case err != nil:
		code := status(err)
		return code == 0 || code >= 500, err
	}
	discard(resp)
	if n != size {
		return true, d.fault("put", f, transfer.ErrTransient, fmt.Errorf("the server took %d bytes of %d for all", n, size))
	}
	return true, nil
}

// again makes the source begin at its start, for another server.
func (d *dav) again(s *source, f file) error {
	err := s.restart()
	if errors.Is(err, errors.ErrUnsupported) {
		return d.fault("put", f, transfer.ErrUnsupported, errors.New("the server redirects after it took bytes, and these cannot be read again"))
	}
	return err
}

// arrived compares what is there with what was sent.
func (d *dav) arrived(ctx context.Context, f file, size int64) error {
	i, err := d.stat(ctx, f, nil)
	if err != nil {
		return err
	}
	if i.Size != size {
		return d.fault("put", f, transfer.ErrCorrupt, fmt.Errorf("%d bytes were sent and %d are there", size, i.Size))
	}
	return nil
}

// sweep removes what is left of a Put that failed. A file of the full size is left
// alone unless it is known to be ours: it may be complete, or somebody else's. Servers
// notice late that a client has gone, so it looks more than once.
func (d *dav) sweep(ctx context.Context, f file, size int64, ours bool) {
	for _, wait := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		i, err := d.stat(ctx, f, nil)
		if err == nil && (ours || i.Size < size || size == 0) {
			_ = d.remove(ctx, f) // the error that counts is known
			return
		}
	}
}

// parents makes the directories above a file.
func (d *dav) parents(ctx context.Context, f file) error {
	f.path = path.Dir(path.Clean("/" + f.path))
	return d.mkcol(ctx, f)
}

// mkcol makes a directory and those above it. What a server says to one that is there
// differs, so where it did not make it we look.
func (d *dav) mkcol(ctx context.Context, dir file) error {
	if _, known := d.dirs.Load(dir.path); known || dir.path == "/" {
		return nil
	}
	made := dir
	made.path += "/"
	g := d.watch(ctx, "make directory", dir)
	defer g.stop()
	for attempt := 0; ; attempt++ {
		resp, err := d.do(g.ctx, call{op: "make directory", method: "MKCOL", file: made})
		if err == nil {
			discard(resp)
		}
		if err == nil || status(err) == http.StatusMethodNotAllowed || d.isDir(g.ctx, made) {
			d.dirs.Store(dir.path, true)
			return nil
		}
		g.alive()
		if attempt > 0 || !errors.Is(err, transfer.ErrNotExist) || !below(dir.path, d.p.Prefix) {
			return err
		}
		up := dir
		up.path = path.Dir(dir.path)
		if err := d.mkcol(g.ctx, up); err != nil {
			return err
		}
	}
}

func (d *dav) isDir(ctx context.Context, dir file) bool {
	resp, err := d.do(ctx, call{op: "stat", method: "PROPFIND", file: dir, header: http.Header{"Depth": {"0"}}})
	if err != nil {
		return false
	}
	discard(resp)
	return resp.StatusCode == http.StatusMultiStatus
}

// Rename implements [Storage]. XRootD and others replace what is there even where they
// are told not to, so the name is looked at first.
func (d *dav) Rename(ctx context.Context, from, to string) error {
	f, err := d.parse("rename", from)
	if err != nil {
		return err
	}
	t, err := d.parse("rename", to)
	if err != nil {
		return err
	}
	if !Renames(d.p, d.o) || f.query != "" || t.query != "" {
		return d.fault("rename", f, transfer.ErrUnsupported, errors.New("an object store does not rename"))
	}
	switch _, err := d.stat(ctx, t, nil); {
	case err == nil:
		return d.fault("rename", t, transfer.ErrExist, nil)
	case !errors.Is(err, transfer.ErrNotExist):
		return err
	}
	if _, err := d.stat(ctx, f, nil); err != nil {
		return err
	}
	if err := d.parents(ctx, t); err != nil {
		return err
	}
	dest, err := d.url(ctx, call{op: "rename", file: t})
	if err != nil {
		return err
	}
	g := d.watch(ctx, "rename", f)
	defer g.stop()
	resp, err := d.do(g.ctx, call{op: "rename", method: "MOVE", file: f, header: destination(dest)})
	if err != nil {
		if d.moved(ctx, f, t, err) {
			return nil
		}
		return err
	}
	discard(resp)
	return nil
}

// moved looks whether a rename that has failed was done: the answer may have been lost,
// and a second request finds nothing.
func (d *dav) moved(ctx context.Context, from, to file, err error) bool {
	if !errors.Is(err, transfer.ErrTransient) && !errors.Is(err, transfer.ErrNotExist) {
		return false
	}
	_, there := d.stat(ctx, from, nil)
	_, here := d.stat(ctx, to, nil)
	return errors.Is(there, transfer.ErrNotExist) && here == nil
}

func destination(u *url.URL) http.Header {
	return http.Header{"Destination": {u.String()}, "Overwrite": {"F"}}
}

// Remove implements [Storage].
func (d *dav) Remove(ctx context.Context, pfn string) error {
	f, err := d.parse("remove", pfn)
	if err != nil {
		return err
	}
	return d.remove(ctx, f)
}

func (d *dav) remove(ctx context.Context, f file) error {
	g := d.watch(ctx, "remove", f)
	defer g.stop()
	resp, err := d.do(g.ctx, call{op: "remove", method: http.MethodDelete, file: f, sign: Delete})
	if c := status(err); c == http.StatusNotFound || c == http.StatusGone {
		return nil
	}
	if err != nil {
		return err
	}
	discard(resp)
	return nil
}
