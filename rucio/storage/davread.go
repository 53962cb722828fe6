package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
)

// Stat implements [Storage].
func (d *dav) Stat(ctx context.Context, pfn string) (Info, error) {
	f, err := d.parse("stat", pfn)
	if err != nil {
		return Info{}, err
	}
	return d.stat(ctx, f, nil)
}

func (d *dav) stat(ctx context.Context, f file, want http.Header) (Info, error) {
	g := d.watch(ctx, "stat", f)
	defer g.stop()
	if d.o.Sign != nil || f.query != "" {
		return d.statByGet(g.ctx, f)
	}
	resp, err := d.do(g.ctx, call{op: "stat", method: http.MethodHead, file: f, header: want})
	if err != nil {
		return Info{}, err
	}
	discard(resp)
	if resp.ContentLength < 0 {
		g.alive()
		return d.statByGet(g.ctx, f) // Apache does not tell the size of an empty file
	}
	return info(resp.ContentLength, resp.Header), nil
}

// statByGet asks for the first byte: a URL that is signed to be read is good for GET
// alone.
func (d *dav) statByGet(ctx context.Context, f file) (Info, error) {
	resp, err := d.do(ctx, call{op: "stat", method: http.MethodGet, file: f, sign: Read, header: http.Header{"Range": {"bytes=0-0"}}})
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		return Info{}, nil // there is no first byte
	}
	if err != nil {
		return Info{}, err
	}
	defer resp.Body.Close() // of a server that ignores Range the rest is not wanted
	if resp.StatusCode != http.StatusPartialContent {
		if resp.ContentLength < 0 {
			return Info{}, d.fault("stat", f, transfer.ErrUnsupported, errors.New("the server does not tell the size"))
		}
		return info(resp.ContentLength, resp.Header), nil
	}
	_, all, ok := contentRange(resp.Header.Get("Content-Range"))
	if !ok || all < 0 {
		return Info{}, d.fault("stat", f, transfer.ErrUnsupported, errors.New("the server does not tell the size"))
	}
	return info(all, resp.Header), nil
}

func info(size int64, h http.Header) Info {
	return Info{Size: size, Adler32: digest(h, checksum.Adler32).Bare(), MD5: digest(h, checksum.MD5).Bare()}
}

// contentRange reads "bytes 3-5/6"; all is -1 for "*".
func contentRange(s string) (from, all int64, ok bool) {
	s, ok = strings.CutPrefix(strings.TrimSpace(s), "bytes ")
	span, size, ok2 := strings.Cut(s, "/")
	first, _, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if all = -1; size != "*" {
		if all, err = strconv.ParseInt(size, 10, 64); err != nil || all < 0 {
			return 0, 0, false
		}
	}
	return from, all, true
}

// Get implements [Storage]. The range has both ends: XRootD's HTTP of some versions
// takes an open one for an empty one.
func (d *dav) Get(ctx context.Context, pfn string, offset int64) (io.ReadCloser, error) {
	f, err := d.parse("get", pfn)
	if err != nil {
		return nil, err
	}
	c := call{op: "get", method: http.MethodGet, file: f, sign: Read}
	if offset != 0 {
		i, err := d.stat(ctx, f, nil)
		if err != nil {
			return nil, err
		}
		switch {
		case offset < 0 || offset > i.Size:
			return nil, d.fault("get", f, transfer.ErrInvalid, fmt.Errorf("there is no offset %d in %d bytes", offset, i.Size))
		case offset == i.Size:
			return io.NopCloser(bytes.NewReader(nil)), nil
		}
		c.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", offset, i.Size-1)}}
	}
	g := d.watch(ctx, "get", f)
	resp, err := d.do(g.ctx, c)
	if err != nil {
		g.stop()
		return nil, err
	}
	if from, _, ok := contentRange(resp.Header.Get("Content-Range")); offset != 0 && (resp.StatusCode != http.StatusPartialContent || !ok || from != offset) {
		g.stop()
		_ = resp.Body.Close()
		return nil, d.fault("get", f, transfer.ErrUnsupported, errors.New("the server gives only whole files"))
	}
	return newBody(resp.Body, g, func(err error) error { return d.broken(c, err) }), nil
}

// Hash implements [Hasher], as RFC 3230 and its successor RFC 9530 ask for it.
func (d *dav) Hash(ctx context.Context, pfn string, a checksum.Algorithm) (checksum.Sum, error) {
	f, err := d.parse("hash", pfn)
	if err != nil {
		return checksum.Sum{}, err
	}
	unsupported := d.fault("hash", f, transfer.ErrUnsupported, fmt.Errorf("the server does not tell %v", a))
	want, known := wanted(a)
	if !known || d.o.Sign != nil || f.query != "" {
		return checksum.Sum{}, unsupported
	}
	i, err := d.stat(ctx, f, nil)
	if err != nil {
		return checksum.Sum{}, err
	}
	g := d.watch(ctx, "hash", f)
	defer g.stop()
	g.expect(i.Size)
	resp, err := d.do(g.ctx, call{op: "hash", method: http.MethodHead, file: f, header: want})
	if err != nil {
		return checksum.Sum{}, err
	}
	discard(resp)
	if sum := digest(resp.Header, a); !sum.IsZero() {
		return sum, nil
	}
	return checksum.Sum{}, unsupported
}
