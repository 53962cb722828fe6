package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage/internal/xrd"
	"github.com/cax-go/cax/transfer"
)

// tools is xrootd storage spoken to by xrdcp and xrdfs, which know every login.
type tools struct {
	*place
	o *Options
}

func newTools(pl *place, o *Options) *tools { return &tools{pl, o} }

func (s *tools) Close() error { return nil }

// at takes a PFN apart. xrdfs puts its arguments together and splits them again, so
// that only plain names are safe.
func (s *tools) at(op, pfn string) (file, error) {
	f, err := s.parse(op, pfn)
	if err != nil {
		return f, err
	}
	f.path = path.Clean(f.path)
	if strings.ContainsAny(f.path, " \t\"'\\#%&;") {
		return f, s.fault(op, f, transfer.ErrInvalid, errors.New("xrdfs takes no such name"))
	}
	return f, nil
}

func (s *tools) url(f file) string {
	u := f.scheme + "://" + s.addr() + "/" + f.path
	if f.query != "" {
		u += "?" + f.query
	}
	return u
}

// environ is what the programs get to know: where proxy, authorities and token are.
func (s *tools) environ(ctx context.Context) ([]string, error) {
	stall := strconv.Itoa(max(1, int(s.stall/time.Second)))
	env := append(os.Environ(), "XRD_REQUESTTIMEOUT="+stall, "XRD_STREAMTIMEOUT="+stall, "XRD_CONNECTIONRETRY=1", "XRD_CONNECTIONWINDOW=30")
	if s.o.Proxy != "" {
		env = append(env, "X509_USER_PROXY="+s.o.Proxy)
	}
	if s.o.CADir != "" {
		env = append(env, "X509_CERT_DIR="+s.o.CADir)
	}
	if s.o.Token != nil {
		token, err := s.o.Token(ctx)
		if err != nil {
			return nil, &transfer.Error{Op: "get token", Place: s.String(), Kind: transfer.ErrAuth, Err: err}
		}
		if token != "" {
			env = append(env, "BEARER_TOKEN="+token) // for ztn, which sends it over TLS alone
		}
	}
	return env, nil
}

// run runs a program and returns what it printed.
func (s *tools) run(ctx context.Context, op string, f file, in io.Reader, out io.Writer, argv ...string) error {
	env, err := s.environ(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.WaitDelay = env, in, out, lingering
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return orEnded(ctx, err)
	case errors.Is(err, exec.ErrNotFound):
		return &transfer.Error{Op: op, Place: s.String(), Path: f.path, Kind: transfer.ErrAuth, Err: errors.New("the server wants a login, for which " + argv[0] + " is not installed"),
			Hint: "install it: apt-get install xrootd-client"}
	}
	return s.ended(op, f, err, said.String())
}

// ended judges the end of a program: by the number that the server gave, where it did.
func (s *tools) ended(op string, f file, err error, said string) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return s.fault(op, f, transfer.ErrTransient, err)
	}
	e := s.fault(op, f, transfer.ErrTransient, fmt.Errorf("exit status %d: %s", exit.ExitCode(), s.tail(said)))
	e.Hint = "see whether proxy or token are valid"
	if code, ok := serverCode(said); ok {
		e.Kind, e.Hint = codeKind(code), ""
	}
	return e
}

// tail is the end of what a program said, on one line and without queries.
func (s *tools) tail(said string) string {
	words := strings.Fields(said)
	for i, w := range words {
		words[i], _, _ = strings.Cut(w, "?")
	}
	text := strings.Join(words, " ")
	return text[max(0, len(text)-300):]
}

// serverCode finds the number of the server's error, as in "[3011]".
func serverCode(said string) (xrd.Code, bool) {
	m := regexp.MustCompile(`\[(3\d\d\d)\]`).FindStringSubmatch(said)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return xrd.Code(n), err == nil
}

// fs runs xrdfs.
func (s *tools) fs(ctx context.Context, op string, f file, n int64, args ...string) (string, error) {
	g := s.watch(ctx, op, f)
	defer g.stop()
	g.expect(n)
	var out bytes.Buffer
	err := s.run(g.ctx, op, f, nil, &out, append([]string{"xrdfs", f.scheme + "://" + s.addr()}, args...)...)
	return out.String(), err
}

// Stat implements [Storage].
func (s *tools) Stat(ctx context.Context, pfn string) (Info, error) {
	f, err := s.at("stat", pfn)
	if err != nil {
		return Info{}, err
	}
	return s.look(ctx, f)
}

func (s *tools) look(ctx context.Context, f file) (Info, error) {
	out, err := s.fs(ctx, "stat", f, 0, "stat", f.path)
	if err != nil {
		return Info{}, err
	}
	i, ok := parseXrdfsStat(out)
	if !ok {
		return Info{}, s.fault("stat", f, transfer.ErrInvalid, errors.New("xrdfs tells no size of a file"))
	}
	return i, nil
}

// parseXrdfsStat reads "Name: value" lines of xrdfs stat.
func parseXrdfsStat(out string) (Info, bool) {
	size := int64(-1)
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "Size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return Info{}, false
			}
			size = n
		case "Flags":
			const isDir = 2
			number, _, _ := strings.Cut(value, " ")
			n, err := strconv.Atoi(number)
			if err != nil || n&isDir != 0 {
				return Info{}, false
			}
		}
	}
	return Info{Size: size}, size >= 0
}

// Get implements [Storage].
func (s *tools) Get(ctx context.Context, pfn string, offset int64) (io.ReadCloser, error) {
	f, err := s.at("get", pfn)
	if err != nil {
		return nil, err
	}
	if offset != 0 {
		return nil, s.fault("get", f, transfer.ErrUnsupported, errors.New("xrdcp reads whole files"))
	}
	i, err := s.look(ctx, f)
	if err != nil {
		return nil, err
	}
	g := s.watch(ctx, "get", f)
	pr, pw := io.Pipe()
	counted := &counter{w: pw}
	go func() {
		err := s.run(g.ctx, "get", f, nil, counted, "xrdcp", "--nopbar", "--silent", s.url(f), "-")
		if err == nil && counted.n != i.Size {
			err = s.fault("get", f, transfer.ErrTransient, fmt.Errorf("xrdcp gave %d bytes of %d", counted.n, i.Size))
		}
		_ = pw.CloseWithError(err) // never fails
	}()
	return newBody(pr, g, func(err error) error { return err }), nil
}

// A counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Put implements [Storage].
func (s *tools) Put(ctx context.Context, pfn string, r io.Reader, size int64) error {
	f, err := s.at("put", pfn)
	if err != nil {
		return err
	}
	switch _, err := s.look(ctx, f); {
	case err == nil:
		return s.fault("put", f, transfer.ErrExist, nil)
	case !errors.Is(err, transfer.ErrNotExist):
		return err
	}
	g := s.watch(ctx, "put", f)
	defer g.stop()
	src := s.newSource(r, size, g, f)
	// Without -f it replaces nothing; it makes the parents by itself.
	err = within(g.ctx, func() error {
		return s.run(g.ctx, "put", f, src, nil, "xrdcp", "--nopbar", "--silent", "--posc", "-", s.url(f))
	})
	n, bad := src.failed()
	switch {
	case bad != nil:
		err = orEnded(g.ctx, bad)
	case err == nil && n != size:
		err = s.fault("put", f, transfer.ErrTransient, fmt.Errorf("xrdcp took %d bytes of %d", n, size))
	case err == nil:
		var i Info
		if i, err = s.look(ctx, f); err == nil && i.Size != size {
			err = s.fault("put", f, transfer.ErrCorrupt, fmt.Errorf("%d bytes were sent and %d are there", size, i.Size))
		}
	}
	if err != nil && !errors.Is(err, transfer.ErrExist) {
		cleanup(ctx, func(ctx context.Context) { _, _ = s.fs(ctx, "remove", f, 0, "rm", f.path) }) // the error that counts is known
	}
	return err
}

// Rename implements [Storage].
func (s *tools) Rename(ctx context.Context, from, to string) error {
	f, err := s.at("rename", from)
	if err != nil {
		return err
	}
	t, err := s.at("rename", to)
	if err != nil {
		return err
	}
	if !Renames(s.p, nil) {
		return s.fault("rename", f, transfer.ErrUnsupported, nil)
	}
	if _, err := s.look(ctx, f); err != nil {
		return err
	}
	switch _, err := s.fs(ctx, "rename", t, 0, "stat", t.path); {
	case err == nil:
		return s.fault("rename", t, transfer.ErrExist, nil)
	case !errors.Is(err, transfer.ErrNotExist):
		return err
	}
	if _, err = s.fs(ctx, "rename", f, 0, "mkdir", "-p", path.Dir(t.path)); err != nil && !errors.Is(err, transfer.ErrExist) {
		return err
	}
	_, err = s.fs(ctx, "rename", f, 0, "mv", f.path, t.path)
	return err
}

// Remove implements [Storage].
func (s *tools) Remove(ctx context.Context, pfn string) error {
	f, err := s.at("remove", pfn)
	if err != nil {
		return err
	}
	_, err = s.fs(ctx, "remove", f, 0, "rm", f.path)
	if errors.Is(err, transfer.ErrNotExist) {
		return nil
	}
	return err
}

// Hash implements [Hasher].
func (s *tools) Hash(ctx context.Context, pfn string, a checksum.Algorithm) (checksum.Sum, error) {
	f, err := s.at("hash", pfn)
	if err != nil {
		return checksum.Sum{}, err
	}
	unsupported := s.fault("hash", f, transfer.ErrUnsupported, nil)
	alg, _ := digestName(a)
	if alg == "" {
		return checksum.Sum{}, unsupported
	}
	i, err := s.look(ctx, f)
	if err != nil {
		return checksum.Sum{}, err
	}
	out, err := s.fs(ctx, "hash", f, i.Size, "query", "checksum", f.path+"?cks.type="+alg)
	if err != nil {
		return checksum.Sum{}, err
	}
	words := strings.Fields(out)
	if len(words) != 2 || words[0] != alg {
		return checksum.Sum{}, unsupported
	}
	sum, err := checksum.ParseBare(a, words[1])
	if err != nil {
		return checksum.Sum{}, s.fault("hash", f, transfer.ErrInvalid, err)
	}
	return sum, nil
}
