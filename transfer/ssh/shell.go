package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
)

// A Shell does file operations by commands of the far side's login shell, which
// has to be a POSIX shell with GNU tools. Commands are fixed text with quoted
// paths. Outcomes are told by exit codes and machine formats, never by messages.
// All methods give transfer.ErrUnsupported where the login shell, or a tool, is
// not there. It is safe for concurrent use.
type Shell struct{ pool *Pool }

// Shell returns the shell of the account.
func (p *Pool) Shell() *Shell { return &Shell{p} }

// Exit codes of our commands.
const (
	exitExist       = 93
	exitNotExist    = 94
	exitPermission  = 95
	exitUnsupported = 96
)

// shellState remembers whether the login shell is one that we can use.
type shellState struct {
	mu    sync.Mutex
	asked bool
	posix bool
}

// Usable reports whether the login shell is a POSIX shell. It asks once.
func (s *Shell) Usable(ctx context.Context) (bool, error) {
	st := &s.pool.shell
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.asked {
		return st.posix, nil
	}
	// Arithmetic tells a POSIX shell from csh, fish, and menus that echo.
	out, err := s.pool.Run(ctx, `printf 'cax %d' "$((6*7))"`, nil)
	var exit *ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, transfer.ErrUnsupported) {
		return false, err
	}
	st.asked, st.posix = true, err == nil && string(out) == "cax 42"
	return st.posix, nil
}

// run runs a script about a path and gives its end a kind.
func (s *Shell) run(ctx context.Context, op, about, script string, stdin io.Reader) ([]byte, error) {
	wrap := func(kind, err error) error {
		return &transfer.Error{Op: op, Place: "ssh://" + s.pool.String(), Path: about, Kind: kind, Err: err}
	}
	ok, err := s.Usable(ctx)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wrap(transfer.ErrUnsupported, errors.New("the login shell there is not a POSIX shell that runs commands"))
	}
	if strings.IndexByte(script, 0) >= 0 {
		return nil, wrap(transfer.ErrInvalid, errors.New("a path holds a NUL byte"))
	}
	out, err := s.pool.Run(ctx, "LC_ALL=C; export LC_ALL; "+script, stdin)
	var exit *ExitError
	if !errors.As(err, &exit) || errors.Is(err, transfer.ErrTransient) {
		return out, err
	}
	switch exit.Status {
	case exitExist:
		return out, wrap(transfer.ErrExist, nil)
	case exitNotExist:
		return out, wrap(transfer.ErrNotExist, nil)
	case exitPermission:
		return out, wrap(transfer.ErrPermission, nil)
	case exitUnsupported, 127:
		return out, wrap(transfer.ErrUnsupported, exit)
	}
	return out, wrap(transfer.ErrTransient, exit)
}

// why is what a script ends with after a failure: the reason, as far as it can be
// found out by looking.
func why(p string) string {
	q, dir := Quote(p), Quote(path.Dir(p))
	return fmt.Sprintf("{ s=$?; [ -e %[1]s ] || [ -L %[1]s ] || { [ -x %[2]s ] || { [ -e %[2]s ] && exit %[3]d; }; exit %[4]d; }; exit $s; }", q, dir, exitPermission, exitNotExist)
}

// format is what find prints of a file, each field ended by NUL: type, size in
// bytes, modification time in seconds, mode in octal, path below the start, and
// where a link leads.
const format = `'%y\0%s\0%T@\0%m\0%P\0%l\0'`

// Lstat implements transfer.Backend.
func (s *Shell) Lstat(ctx context.Context, p string) (transfer.Info, error) {
	out, err := s.run(ctx, "stat", p, fmt.Sprintf("find %s -maxdepth 0 -printf %s 2>/dev/null || %s", Quote(p), format, why(p)), nil)
	if err != nil {
		return transfer.Info{}, err
	}
	infos, err := parseFind(out)
	if err != nil || len(infos) != 1 {
		return transfer.Info{}, &transfer.Error{Op: "stat", Place: "ssh://" + s.pool.String(), Path: p, Kind: transfer.ErrUnsupported,
			Err: errors.Join(errors.New("find gave no answer that we understand"), err)}
	}
	infos[0].Path = p
	return infos[0], nil
}

// List implements transfer.Backend.
func (s *Shell) List(ctx context.Context, dir string) iter.Seq2[transfer.Info, error] {
	return func(yield func(transfer.Info, error) bool) {
		out, err := s.run(ctx, "list", dir, fmt.Sprintf("find %s -mindepth 1 -printf %s || %s", Quote(dir), format, why(dir)), nil)
		if err != nil {
			yield(transfer.Info{}, err)
			return
		}
		infos, err := parseFind(out)
		if err != nil {
			yield(transfer.Info{}, &transfer.Error{Op: "list", Place: "ssh://" + s.pool.String(), Path: dir, Kind: transfer.ErrUnsupported, Err: err})
			return
		}
		for _, i := range infos {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// parseFind reads records of format.
func parseFind(b []byte) ([]transfer.Info, error) {
	if len(b) == 0 {
		return nil, nil
	}
	f := strings.Split(string(b), "\x00")
	if len(f)%6 != 1 || f[len(f)-1] != "" {
		return nil, fmt.Errorf("a listing of %d fields is cut off", len(f))
	}
	var infos []transfer.Info
	for f = f[:len(f)-1]; len(f) > 0; f = f[6:] {
		i := transfer.Info{Path: f[4], Link: f[5]}
		var err error
		if i.Size, err = strconv.ParseInt(f[1], 10, 64); err != nil {
			return nil, err
		}
		sec, frac, _ := strings.Cut(f[2], ".")
		s, err := strconv.ParseInt(sec, 10, 64)
		if err != nil {
			return nil, err
		}
		// Ten digits in some versions, none in others.
		ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if err != nil {
			return nil, err
		}
		i.ModTime = time.Unix(s, ns)
		perm, err := strconv.ParseUint(f[3], 8, 32)
		if err != nil {
			return nil, err
		}
		i.Mode = fs.FileMode(perm) & fs.ModePerm
		switch f[0] {
		case "f":
		case "d":
			i.Mode |= fs.ModeDir
		case "l":
			i.Mode |= fs.ModeSymlink
		default:
			i.Mode |= fs.ModeIrregular
		}
		infos = append(infos, i)
	}
	return infos, nil
}

// Mkdir implements transfer.Backend.
func (s *Shell) Mkdir(ctx context.Context, dir string) error {
	q, parent := Quote(dir), Quote(path.Dir(dir))
	_, err := s.run(ctx, "make directory", dir, fmt.Sprintf(
		"{ [ -e %[1]s ] || [ -L %[1]s ]; } && exit %[3]d; mkdir -m 755 -- %[1]s && exit; { [ -e %[1]s ] || [ -L %[1]s ]; } && exit %[3]d; [ -e %[2]s ] || exit %[4]d; [ -w %[2]s ] || exit %[5]d; exit 1",
		q, parent, exitExist, exitNotExist, exitPermission), nil)
	return err
}

// Rename implements transfer.Backend. mv -n may report success without having
// moved anything, so both names are looked at afterwards.
func (s *Shell) Rename(ctx context.Context, from, to string) error {
	_, err := s.run(ctx, "rename", to, fmt.Sprintf(
		"[ -e %[1]s ] || [ -L %[1]s ] || exit %[4]d; { [ -e %[2]s ] || [ -L %[2]s ]; } && exit %[5]d; mv -T -n -- %[1]s %[2]s; s=$?; { [ -e %[1]s ] || [ -L %[1]s ]; } || exit $s; [ -w %[3]s ] || exit %[6]d; { [ -e %[2]s ] || [ -L %[2]s ]; } && exit %[5]d; exit 1",
		Quote(from), Quote(to), Quote(path.Dir(to)), exitNotExist, exitExist, exitPermission), nil)
	return err
}

// Remove implements transfer.Backend.
func (s *Shell) Remove(ctx context.Context, p string) error {
	_, err := s.run(ctx, "remove", p, fmt.Sprintf("rm -rf -- %s || { [ -w %s ] || exit %d; exit 1; }", Quote(p), Quote(path.Dir(p)), exitPermission), nil)
	return err
}

// Free implements transfer.Spacer.
func (s *Shell) Free(ctx context.Context, p string) (int64, error) {
	out, err := s.run(ctx, "look for space at", p, fmt.Sprintf("stat -f -c '%%a %%S' -- %s || %s", Quote(p), why(p)), nil)
	if err != nil {
		return 0, err
	}
	var blocks, size int64
	if _, err := fmt.Sscanf(string(out), "%d %d", &blocks, &size); err != nil {
		return 0, &transfer.Error{Op: "look for space at", Path: p, Kind: transfer.ErrUnsupported, Err: err}
	}
	return blocks * size, nil
}

// Sync implements transfer.Syncer, by the file system of the path where sync can
// do that, else by all.
func (s *Shell) Sync(ctx context.Context, p string) (bool, error) {
	_, err := s.run(ctx, "sync", p, fmt.Sprintf("sync -f -- %s 2>/dev/null || sync", Quote(p)), nil)
	if errors.Is(err, transfer.ErrUnsupported) {
		return false, nil
	}
	return err == nil, err
}

// Clone implements transfer.Cloner.
func (s *Shell) Clone(ctx context.Context, from, to string) error {
	_, err := s.run(ctx, "clone", to, fmt.Sprintf("cp --reflink=auto --preserve=timestamps -T -- %s %s || %s", Quote(from), Quote(to), why(from)), nil)
	return err
}

// Hash implements transfer.Hasher, for XXH3-128 by xxhsum, and for SHA-512,
// SHA-256 and MD5 by the tools of coreutils.
func (s *Shell) Hash(ctx context.Context, a checksum.Algorithm, paths []string) ([]checksum.Sum, error) {
	tool, ok := map[checksum.Algorithm]string{
		checksum.XXH3_128: "xxhsum -H2",
		checksum.SHA512:   "sha512sum",
		checksum.SHA256:   "sha256sum",
		checksum.MD5:      "md5sum",
	}[a]
	about := ""
	if len(paths) > 0 {
		about = paths[0]
	}
	bad := func(kind, err error) error {
		return &transfer.Error{Op: "hash", Place: "ssh://" + s.pool.String(), Path: about, Kind: kind, Err: err}
	}
	if !ok {
		return nil, bad(transfer.ErrUnsupported, fmt.Errorf("no tool for %s", a))
	}
	// The tools write one line a file, except for names with a newline; these,
	// and those that some versions escape, are given one by one, by descriptor.
	sums := make([]checksum.Sum, len(paths))
	var plain, odd bytes.Buffer
	var iplain, iodd []int
	for i, p := range paths {
		b, at := &plain, &iplain
		if strings.ContainsAny(p, "\\\n\r") {
			b, at = &odd, &iodd
		}
		b.WriteString(p + "\x00")
		*at = append(*at, i)
	}
	name, _, _ := strings.Cut(tool, " ")
	have := fmt.Sprintf("command -v %s >/dev/null && command -v xargs >/dev/null || exit %d; ", name, exitUnsupported)
	for _, x := range []struct {
		in     *bytes.Buffer
		at     []int
		script string
	}{
		{&plain, iplain, "xargs -0 " + tool},
		{&odd, iodd, "xargs -0 -n 1 sh -c '" + tool + ` <"$1"' sh`},
	} {
		if len(x.at) == 0 {
			continue
		}
		out, err := s.run(ctx, "hash", about, have+x.script, x.in)
		if err != nil {
			return nil, err
		}
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if len(lines) != len(x.at) {
			return nil, bad(transfer.ErrTransient, fmt.Errorf("%s gave %d lines for %d files", name, len(lines), len(x.at)))
		}
		for n, l := range lines {
			digest, _, _ := strings.Cut(l, " ")
			if sums[x.at[n]], err = checksum.ParseBare(a, digest); err != nil {
				return nil, bad(transfer.ErrTransient, err)
			}
		}
	}
	return sums, nil
}
