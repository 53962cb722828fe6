package xrd

import (
	"context"
	"encoding/binary"
	"io"
)

const (
	chunk    = 1 << 20 // bytes of one request
	underway = 8       // requests of one file
)

// A File is open at a server, and has a connection of its own.
type File struct {
	ctx    context.Context
	c      *Client
	k      *conn
	end    func() bool
	handle [4]byte
	size   int64
	broken bool
}

// Options of open requests.
const (
	optNew    = 1 << 3
	optRead   = 1 << 4
	optUpdate = 1 << 5
	optMkpath = 1 << 8
	optStat   = 1 << 10
	optPOSC   = 1 << 12
)

// Open opens a file to be read. Everything done with it ends with ctx.
func (c *Client) Open(ctx context.Context, path string) (*File, error) {
	return c.open(ctx, path, optRead|optStat, true)
}

// Create makes a file, with its parents; ItExists if the name is taken. The server
// removes it unless it is closed well, where it knows how to do that.
func (c *Client) Create(ctx context.Context, path string) (*File, error) {
	return c.open(ctx, path, optNew|optUpdate|optMkpath|optPOSC, false)
}

func (c *Client) open(ctx context.Context, path string, options uint16, again bool) (*File, error) {
	const mode = 0o644
	r := request{id: reqOpen}
	binary.BigEndian.PutUint16(r.params[:], mode)
	binary.BigEndian.PutUint16(r.params[2:], options)
	data, k, err := c.ask(ctx, r, path, again)
	if err != nil {
		return nil, err
	}
	f := &File{ctx: ctx, c: c, k: k, size: -1}
	if copy(f.handle[:], data) < 4 {
		_ = k.net.Close()
		return nil, bad("open", nil)
	}
	if len(data) > 12 {
		if st, err := parseStat(data[12:]); err == nil {
			f.size = st.Size
		}
	}
	f.end = k.until(ctx)
	return f, nil
}

// Size is the size that the file had when it was opened; -1 if it is not known.
func (f *File) Size() int64 { return f.size }

// fail notes that the connection is of no use any more.
func (f *File) fail(err error) error {
	if err != nil {
		f.broken = true
		if f.ctx.Err() != nil {
			return f.ctx.Err()
		}
	}
	return err
}

func (f *File) do(id uint16, set func(*request)) error {
	r := request{id: id}
	copy(r.params[:], f.handle[:])
	if set != nil {
		set(&r)
	}
	a, err := f.k.exchange(f.ctx, r)
	if err == nil && a.status != statusOK {
		err = bad("status", nil)
	}
	return f.fail(err)
}

// Close closes the file, whatever happened before. Only after that is one that was
// written there to stay.
func (f *File) Close() error {
	var err error
	if !f.broken {
		err = f.do(reqClose, nil)
	}
	if f.end() && !f.broken {
		f.c.put(f.k)
	} else {
		_ = f.k.net.Close()
	}
	return err
}

// Abandon ends the use of a file without closing it, so that the server removes what
// was written.
func (f *File) Abandon() {
	f.end()
	_ = f.k.net.Close()
}

// Sync makes what was written durable.
func (f *File) Sync() error { return f.do(reqSync, nil) }

// Write writes what r gives, many requests at once. told is told of bytes that
// arrived.
func (f *File) Write(r io.Reader, told func(n int64)) error {
	at, waiting := int64(0), map[uint16]int64{}
	one := func() error {
		a, err := f.k.receive()
		if err != nil {
			return err
		}
		n, ours := waiting[a.stream]
		switch {
		case !ours:
			return bad("stream", nil)
		case a.status == statusError:
			return refusal(a.data)
		case a.status != statusOK:
			return bad("status", nil)
		}
		delete(waiting, a.stream)
		told(n)
		return nil
	}
	buf := make([]byte, chunk)
	for {
		n, rerr := io.ReadFull(r, buf)
		if n > 0 {
			q := request{id: reqWrite, data: buf[:n]}
			copy(q.params[:], f.handle[:])
			binary.BigEndian.PutUint64(q.params[4:], uint64(at))
			id, err := f.k.send(q)
			if err != nil {
				return f.fail(err)
			}
			waiting[id] = int64(n)
			at += int64(n)
		}
		last := rerr == io.EOF || rerr == io.ErrUnexpectedEOF
		if rerr != nil && !last {
			f.broken = true
			return rerr
		}
		for len(waiting) > 0 && (last || len(waiting) >= underway) {
			if err := one(); err != nil {
				return f.fail(err)
			}
		}
		if last {
			return nil
		}
	}
}

// A Reader reads a file from an offset to its end, with several requests under way.
type Reader struct {
	f    *File
	at   int64            // where the next request begins
	out  []uint16         // requests under way, in the order of their offsets
	want map[uint16]int64 // what they asked for
	got  map[uint16][]byte
	done map[uint16]bool
	now  []byte
	end  bool
	err  error
}

// Reader returns a reader, which closes the file when it is closed.
func (f *File) Reader(offset int64) *Reader {
	return &Reader{f: f, at: offset, want: map[uint16]int64{}, got: map[uint16][]byte{}, done: map[uint16]bool{}}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.now) == 0 && r.err == nil {
		r.err = r.fill()
	}
	if len(r.now) > 0 {
		n := copy(p, r.now)
		r.now = r.now[n:]
		return n, nil
	}
	return 0, r.err
}

// fill waits for the next piece.
func (r *Reader) fill() error {
	for !r.end && len(r.out) < underway && (len(r.out) == 0 || r.f.size < 0 || r.at < r.f.size) {
		n := int64(chunk)
		if r.f.size > r.at {
			n = min(n, r.f.size-r.at)
		}
		q := request{id: reqRead}
		copy(q.params[:], r.f.handle[:])
		binary.BigEndian.PutUint64(q.params[4:], uint64(r.at))
		binary.BigEndian.PutUint32(q.params[12:], uint32(n))
		id, err := r.f.k.send(q)
		if err != nil {
			return r.f.fail(err)
		}
		r.out, r.want[id] = append(r.out, id), n
		r.at += n
	}
	if len(r.out) == 0 {
		return io.EOF
	}
	head := r.out[0]
	for !r.done[head] {
		a, err := r.f.k.receive()
		if err != nil {
			return r.f.fail(err)
		}
		asked, ours := r.want[a.stream]
		r.got[a.stream] = append(r.got[a.stream], a.data...)
		switch {
		case !ours || int64(len(r.got[a.stream])) > asked && a.status != statusError:
			return r.f.fail(bad("read", nil))
		case a.status == statusError:
			return r.f.fail(refusal(a.data))
		case a.status == statusOK:
			r.done[a.stream] = true
		case a.status != statusSoFar:
			return r.f.fail(bad("status", nil))
		}
	}
	r.out, r.now = r.out[1:], r.got[head]
	if r.end && len(r.now) > 0 {
		return r.f.fail(bad("read beyond a short one", nil)) // it grows while it is read
	}
	if int64(len(r.now)) < r.want[head] {
		r.end = true // the file ends here, whatever was asked for beyond
		if r.f.size < 0 || len(r.now) == 0 {
			r.drop()
		}
	}
	delete(r.want, head)
	delete(r.got, head)
	delete(r.done, head)
	return nil
}

// drop gives up what was asked for beyond the end of the file.
func (r *Reader) drop() {
	if len(r.out) > 0 {
		r.f.broken, r.out = true, nil
	}
}

// Close closes the file. With requests under way the connection is closed.
func (r *Reader) Close() error {
	if len(r.out) > 0 {
		r.f.broken = true
	}
	return r.f.Close()
}
