package sftp

import (
	"context"
	"io"
	"sync"

	"github.com/cax-go/cax/transfer"
	"github.com/pkg/sftp"
)

// Open implements [transfer.Backend]. Reading goes ahead of the reader.
func (b *Backend) Open(ctx context.Context, p string, offset int64) (io.ReadCloser, error) {
	return b.OpenSized(ctx, p, offset, -1)
}

// OpenSized implements [transfer.SizedOpener].
func (b *Backend) OpenSized(ctx context.Context, p string, offset, size int64) (io.ReadCloser, error) {
	open := func(c *client) (*sftp.File, error) { return c.Open(p) }
	h, err := b.open(ctx, "open", p, open)
	if err != nil {
		return nil, err
	}
	r := &reader{handles: h, ctx: ctx, at: offset, size: size, most: 1}
	if size-offset >= wideFrom {
		h.widen(ctx, open)
		r.most = aheadMost
	}
	return r, nil
}

const (
	// aheadSize is how much one read-ahead asks for; it is cut into packets that
	// are all under way at once.
	aheadSize = 1 << 20

	// aheadMost is how many read-aheads of one file are under way, and aheadAll
	// how many of all files, beside one for each.
	aheadMost = 16
	aheadAll  = 64
)

var aheads = sync.Pool{New: func() any { b := make([]byte, aheadSize); return &b }}

// A reader reads a file in order, with more and more of it under way, so that
// small files cost one request and large ones fill the link.
type reader struct {
	*handles
	ctx  context.Context
	at   int64 // where the next read-ahead begins
	size int64 // as it was listed; -1: not known
	most int
	out  []chan part
	now  part
}

// A part is an answer.
type part struct {
	data  []byte
	err   error
	buf   *[]byte // that data is in, if it is of the pool
	token bool    // it is one of aheadAll
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.now.data) == 0 {
		if r.now.err != nil {
			return 0, r.now.err
		}
		r.done()
		r.ask()
		select {
		case r.now = <-r.out[0]:
			r.out = r.out[1:]
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
	n := copy(p, r.now.data)
	r.now.data = r.now.data[n:]
	return n, nil
}

// done gives back what the present part holds.
func (r *reader) done() { r.b.give(r.now); r.now = part{} }

func (b *Backend) give(p part) {
	if p.buf != nil {
		aheads.Put(p.buf)
	}
	if p.token {
		<-b.ahead
	}
}

// ask sends read-aheads, twice as many as the last time: one, if need be beyond
// the end of the file, and more up to that.
func (r *reader) ask() {
	for len(r.out) < r.most {
		if len(r.out) > 0 && r.size >= 0 && r.at > r.size {
			return
		}
		token := false
		if len(r.out) > 0 {
			select {
			case r.b.ahead <- struct{}{}:
				token = true
			default:
				return
			}
		}
		r.send(token)
	}
	r.most = min(2*r.most, aheadMost)
}

func (r *reader) send(token bool) {
	want := int64(aheadSize)
	if r.size >= 0 {
		want = min(want, max(0, r.size-r.at)+1) // one more, to see the end
	}
	got, at, h := make(chan part, 1), r.at, r.pick()
	r.at += want
	r.out = append(r.out, got)
	go func() {
		p := part{token: token}
		if want > aheadSize/4 {
			p.buf = aheads.Get().(*[]byte)
			p.data = (*p.buf)[:want]
		} else {
			p.data = make([]byte, want)
		}
		n, err := r.fetch(h, p.data, at)
		p.data = p.data[:n]
		if p.err = err; err != io.EOF {
			p.err = r.b.wrap("read", r.path, err)
		}
		got <- p
	}()
}

// fetch reads at an offset. The library takes a short answer for the end of the
// file, and a channel that ended too; both are looked into.
func (r *reader) fetch(h handle, buf []byte, at int64) (int, error) {
	for n := 0; ; {
		m, err := h.f.ReadAt(buf[n:], at+int64(n))
		n += m
		switch {
		case err != io.EOF || r.size >= 0 && at+int64(n) == r.size:
			return n, err
		case m > 0:
			continue
		}
		if _, err := h.f.Stat(); err != nil {
			return n, r.b.wrap("read", r.path, err)
		}
		return n, io.EOF
	}
}

func (r *reader) Close() error {
	r.done()
	for _, got := range r.out {
		go func() { r.b.give(<-got) }()
	}
	r.out = nil
	return r.close(r.ctx, nil)
}

var _ transfer.SizedOpener = (*Backend)(nil)
