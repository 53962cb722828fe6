package scp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/ssh"
)

// A Backend is an account on a server with scp and a POSIX shell. It is safe for
// concurrent use.
type Backend struct {
	*ssh.Shell
	pool *ssh.Pool
}

var (
	_ transfer.Backend = (*Backend)(nil)
	_ transfer.Syncer  = (*Backend)(nil)
	_ transfer.Spacer  = (*Backend)(nil)
	_ transfer.Hasher  = (*Backend)(nil)
	_ transfer.Cloner  = (*Backend)(nil)
)

// New returns a backend over the pool's connections. Closing it does not close
// the pool.
func New(pool *ssh.Pool) *Backend { return &Backend{Shell: pool.Shell(), pool: pool} }

// String is like "scp://cax@midway:22".
func (b *Backend) String() string { return "scp://" + b.pool.String() }

// Close implements [transfer.Backend]; there is nothing to close.
func (b *Backend) Close() error { return nil }

// session is one run of scp at the far side.
type session struct {
	b    *Backend
	path string
	ch   *ssh.Channel
	in   *bufio.Reader
	stop func() bool
	ctx  context.Context
}

func (b *Backend) start(ctx context.Context, flag, path string) (*session, error) {
	if ok, err := b.Usable(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, &transfer.Error{Op: "start scp", Place: b.String(), Kind: transfer.ErrUnsupported, Err: errors.New("the login shell there is not a POSIX shell that runs commands")}
	}
	// Paths are absolute, so none can be taken for an option.
	ch, err := b.pool.Start(ctx, "scp "+flag+" "+ssh.Quote(path))
	if err != nil {
		return nil, err
	}
	return &session{b: b, path: path, ch: ch, in: bufio.NewReaderSize(ch, 64<<10), ctx: ctx,
		stop: context.AfterFunc(ctx, func() { ch.Close() })}, nil
}

// end waits for the end of the far side.
func (s *session) end() error {
	err := s.ch.CloseWrite()
	if err == nil || err == io.EOF {
		_, err = io.Copy(io.Discard, s.in)
	}
	if werr := s.ch.Wait(); err == nil {
		err = werr
	}
	s.close()
	return s.fail("end", err)
}

func (s *session) close() {
	s.stop()
	s.ch.Close()
}

// answer reads the one byte that acknowledges, or the error instead of it.
func (s *session) answer() error {
	c, err := s.in.ReadByte()
	if err != nil {
		return s.fail("transfer", err)
	}
	if c == 0 {
		return nil
	}
	line, _ := s.in.ReadString('\n')
	return s.refused(string(c) + line)
}

// refused is an error that the far side sent. Its text is for people: what kind
// of error it is, is found out by looking.
func (s *session) refused(msg string) error {
	kind := transfer.ErrTransient
	dir := s.path[:strings.LastIndexByte(s.path, '/')+1]
	_, err := s.b.Lstat(s.ctx, s.path)
	switch free, ferr := s.b.Free(s.ctx, dir); {
	case errors.Is(err, transfer.ErrPermission):
		kind = transfer.ErrPermission
	case ferr == nil && free < 1<<20:
		kind = transfer.ErrNoSpace
	case errors.Is(err, transfer.ErrNotExist):
		kind = transfer.ErrNotExist
	}
	return &transfer.Error{Op: "transfer", Place: s.b.String(), Path: s.path, Kind: kind, Err: errors.New(strings.TrimSpace(strings.TrimLeft(msg, "\x01\x02")))}
}

func (s *session) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	var own *transfer.Error
	if errors.As(err, &own) {
		return err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &transfer.Error{Op: op, Place: s.b.String(), Path: s.path, Kind: transfer.ErrTransient, Err: err, Hint: "it is tried again"}
}

// Open implements [transfer.Backend]. An offset is reached by reading up to it.
func (b *Backend) Open(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	s, err := b.start(ctx, "-f", path)
	if err != nil {
		return nil, err
	}
	size, err := s.header()
	if err != nil {
		s.close()
		return nil, err
	}
	r := &reader{s: s, left: size}
	if _, err := io.CopyN(io.Discard, r, min(offset, size)); err != nil && err != io.EOF {
		s.close()
		return nil, err
	}
	return r, nil
}

// header asks for the file and reads its C line.
func (s *session) header() (size int64, err error) {
	if _, err := s.ch.Write([]byte{0}); err != nil {
		return 0, s.fail("transfer", err)
	}
	line, err := s.in.ReadString('\n')
	if err != nil {
		return 0, s.fail("transfer", err)
	}
	if line[0] == 1 || line[0] == 2 {
		return 0, s.refused(line)
	}
	f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
	if len(f) != 3 || !strings.HasPrefix(f[0], "C") {
		return 0, &transfer.Error{Op: "transfer", Place: s.b.String(), Path: s.path, Kind: transfer.ErrUnsupported, Err: fmt.Errorf("the far side does not speak the scp protocol: %q", line)}
	}
	if size, err = strconv.ParseInt(f[1], 10, 64); err != nil || size < 0 {
		return 0, s.fail("transfer", fmt.Errorf("size %q", f[1]))
	}
	if _, err := s.ch.Write([]byte{0}); err != nil {
		return 0, s.fail("transfer", err)
	}
	return size, nil
}

type reader struct {
	s    *session
	left int64
	done bool
}

func (r *reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		if r.done {
			return 0, io.EOF
		}
		// After the bytes the far side says whether it could read them all.
		if err := r.s.answer(); err != nil {
			return 0, err
		}
		r.done = true
		if _, err := r.s.ch.Write([]byte{0}); err != nil {
			return 0, r.s.fail("transfer", err)
		}
		return 0, io.EOF
	}
	n, err := r.s.in.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, r.s.fail("read", err)
}

func (r *reader) Close() error {
	r.s.close()
	return nil
}

// Create implements [transfer.Backend]. The file is written from its start.
func (b *Backend) Create(ctx context.Context, path string, offset, size int64, mtime time.Time) (io.WriteCloser, error) {
	if offset > 0 {
		return nil, &transfer.Error{Op: "create", Place: b.String(), Path: path, Kind: transfer.ErrUnsupported, Err: errors.New("the scp protocol cannot go on within a file")}
	}
	s, err := b.start(ctx, "-p -t", path)
	if err != nil {
		return nil, err
	}
	w := &writer{s: s, left: size, mtime: mtime}
	if err := w.header(size); err != nil {
		s.close()
		return nil, err
	}
	return w, nil
}

type writer struct {
	s     *session
	left  int64
	mtime time.Time
	err   error
}

func (w *writer) header(size int64) error {
	if err := w.s.answer(); err != nil {
		return err
	}
	lines := []string{fmt.Sprintf("C0644 %d f\n", size)}
	if !w.mtime.IsZero() {
		lines = []string{fmt.Sprintf("T%d 0 %d 0\n", w.mtime.Unix(), w.mtime.Unix()), lines[0]}
	}
	for _, l := range lines {
		if _, err := io.WriteString(w.s.ch, l); err != nil {
			return w.s.fail("transfer", err)
		}
		if err := w.s.answer(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		w.err = &transfer.Error{Op: "write", Place: w.s.b.String(), Path: w.s.path, Kind: transfer.ErrSourceChanged, Err: errors.New("more bytes than were announced")}
		return 0, w.err
	}
	n, err := w.s.ch.Write(p)
	w.left -= int64(n)
	if err != nil {
		// What the far side has to say is more telling than a broken pipe.
		if w.err = w.s.answer(); w.err == nil {
			w.err = w.s.fail("write", err)
		}
	}
	return n, w.err
}

// Close ends the file. Bytes that were announced and not written make it fail,
// and leave at the far side a file that is too short.
func (w *writer) Close() error {
	defer w.s.close()
	if w.err != nil {
		return w.err
	}
	if w.left > 0 {
		return &transfer.Error{Op: "write", Place: w.s.b.String(), Path: w.s.path, Kind: transfer.ErrSourceChanged, Err: fmt.Errorf("%d bytes were announced and not written", w.left)}
	}
	if _, err := w.s.ch.Write([]byte{0}); err != nil {
		return w.s.fail("write", err)
	}
	if err := w.s.answer(); err != nil {
		return err
	}
	return w.s.end()
}
