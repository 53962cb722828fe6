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

	sends bool // the far side sends
}

func (b *Backend) start(ctx context.Context, command, path string) (*session, error) {
	if ok, err := b.Usable(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, &transfer.Error{Op: "start scp", Place: b.String(), Kind: transfer.ErrUnsupported, Err: errors.New("the login shell there is not a POSIX shell that runs commands")}
	}
	// Paths are absolute, so none can be taken for an option.
	ch, err := b.pool.Start(ctx, command+" "+ssh.Quote(path))
	if err != nil {
		return nil, err
	}
	return &session{b: b, path: path, ch: ch, in: bufio.NewReaderSize(ch, longest), ctx: ctx, sends: command != receive,
		stop: context.AfterFunc(ctx, func() { ch.Close() })}, nil
}

// await runs f, which talks with the far side and cannot be called back, and
// returns within moments of the end of the context.
func await[T any](s *session, f func() (T, error)) (T, error) {
	type end struct {
		v   T
		err error
	}
	got := make(chan end, 1)
	go func() {
		v, err := f()
		got <- end{v, err}
	}()
	select {
	case e := <-got:
		return e.v, e.err
	case <-s.ctx.Done():
		var zero T
		return zero, s.ctx.Err()
	}
}

// end waits for the end of the far side.
func (s *session) end() error {
	_, err := await(s, func() (any, error) {
		err := s.ch.CloseWrite()
		if err == nil || err == io.EOF {
			_, err = io.Copy(io.Discard, s.in)
		}
		if werr := s.ch.Wait(); err == nil {
			err = werr
		}
		return nil, err
	})
	s.close()
	return s.fail("end", err)
}

func (s *session) close() {
	s.stop()
	_, _ = await(s, func() (any, error) { return nil, s.ch.Close() })
}

// write sends bytes to the far side.
func (s *session) write(b []byte) (int, error) {
	return await(s, func() (int, error) { return s.ch.Write(b) })
}

// answer reads the one byte that acknowledges, or the error instead of it.
func (s *session) answer() error {
	c, err := await(s, s.in.ReadByte)
	if err != nil {
		return s.fail("transfer", err)
	}
	if c == 0 {
		return nil
	}
	line, _ := await(s, func() (string, error) { return s.in.ReadString('\n') })
	return s.refused(string(c) + line)
}

// refused is an error that the far side sent. Its text is for people: what kind
// of error it is, is found out by looking.
func (s *session) refused(msg string) error {
	kind := transfer.ErrTransient
	_, err := s.b.Lstat(s.ctx, s.path)
	switch {
	case s.sends && err == nil:
		kind = transfer.ErrPermission // it is there, and cannot be read
	case s.sends && (errors.Is(err, transfer.ErrNotExist) || errors.Is(err, transfer.ErrPermission)):
		kind = transfer.ErrNotExist
		if errors.Is(err, transfer.ErrPermission) {
			kind = transfer.ErrPermission
		}
	case !s.sends:
		if why := s.b.Why(s.ctx, s.path); why != nil {
			kind = why
		}
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	e := &transfer.Error{Op: "transfer", Place: s.b.String(), Path: s.path, Kind: kind, Err: errors.New(strings.TrimSpace(strings.TrimLeft(msg, "\x01\x02")))}
	if kind == transfer.ErrNoSpace {
		e.Hint = "make room there"
	}
	return e
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

// The commands of the far side; a quoted path follows. receive keeps times and
// modes, send is for whole files.
const (
	receive = "scp -p -t"
	send    = "scp -f"
)

// Open implements [transfer.Backend]. From an offset the file is sent by tail:
// the protocol knows whole files only.
func (b *Backend) Open(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if offset > 0 {
		s, err := b.start(ctx, fmt.Sprintf("tail -c +%d --", offset+1), path)
		if err != nil {
			return nil, err
		}
		return &rest{s: s}, nil
	}
	s, err := b.start(ctx, send, path)
	if err != nil {
		return nil, err
	}
	size, err := s.header()
	if err != nil {
		s.close()
		return nil, err
	}
	return &reader{s: s, left: size}, nil
}

// rest reads the end of a file, as tail sends it.
type rest struct{ s *session }

func (r *rest) Read(p []byte) (int, error) {
	n, err := await(r.s, func() (int, error) { return r.s.in.Read(p) })
	if err != io.EOF {
		return n, r.s.fail("read", err)
	}
	if err := r.s.end(); err != nil {
		var exit *ssh.ExitError
		if errors.As(err, &exit) && exit.Status >= 0 {
			return n, r.s.refused(err.Error())
		}
		return n, err
	}
	return n, io.EOF
}

func (r *rest) Close() error {
	r.s.close()
	return nil
}

// header asks for the file and reads its C line.
func (s *session) header() (size int64, err error) {
	if _, err := s.write([]byte{0}); err != nil {
		return 0, s.fail("transfer", err)
	}
	line, err := await(s, func() (string, error) { return readLine(s.in) })
	if err != nil {
		return 0, s.fail("transfer", err)
	}
	if line[0] == 1 || line[0] == 2 {
		return 0, s.refused(line)
	}
	if size, err = parseC(line); err != nil {
		return 0, &transfer.Error{Op: "transfer", Place: s.b.String(), Path: s.path, Kind: transfer.ErrUnsupported, Err: err}
	}
	_, err = s.write([]byte{0})
	return size, s.fail("transfer", err)
}

// longest is how long a line of the protocol can be: a mode, a size and a name.
const longest = 64 << 10

// readLine reads a line of the protocol, with its end. It is never empty.
func readLine(in *bufio.Reader) (string, error) {
	b, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("the far side does not speak the scp protocol: a line of more than %d bytes", longest)
	case err != nil:
		return "", err
	}
	return string(b), nil
}

// parseC reads the size from the line that announces a file: C<mode> <size>
// <name>.
func parseC(line string) (int64, error) {
	bad := func() (int64, error) {
		return 0, fmt.Errorf("the far side does not speak the scp protocol: %q", line)
	}
	mode, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	digits, name, ok := strings.Cut(rest, " ")
	if !ok || name == "" || len(mode) < 2 || mode[0] != 'C' {
		return bad()
	}
	if _, err := strconv.ParseUint(mode[1:], 8, 32); err != nil {
		return bad()
	}
	size, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || size < 0 || digits[0] == '+' {
		return bad()
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
		if _, err := r.s.write([]byte{0}); err != nil {
			return 0, r.s.fail("transfer", err)
		}
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.left)]
	n, err := await(r.s, func() (int, error) { return r.s.in.Read(p) })
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
	s, err := b.start(ctx, receive, path)
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
		if _, err := w.s.write([]byte(l)); err != nil {
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
	n, err := w.s.write(p)
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
	if _, err := w.s.write([]byte{0}); err != nil {
		return w.s.fail("write", err)
	}
	if err := w.s.answer(); err != nil {
		return err
	}
	return w.s.end()
}
