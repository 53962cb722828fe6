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
	exitNoSpace     = 97
)

// shellState remembers whether the login shell is one that we can use.
type shellState struct {
	gate
	asked bool
	posix bool
}

// Usable reports whether the login shell is a POSIX shell. It asks once.
func (s *Shell) Usable(ctx context.Context) (bool, error) {
	st := &s.pool.shell
	if err := st.enter(ctx); err != nil {
		return false, err
	}
	defer st.leave()
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
	wrap := func(kind, err error) *transfer.Error {
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
	case exitNoSpace:
		full := wrap(transfer.ErrNoSpace, nil)
		full.Hint = "make room there"
		return out, full
	case exitUnsupported, 127:
		return out, wrap(transfer.ErrUnsupported, exit)
	}
	return out, wrap(transfer.ErrTransient, exit)
}

// change is run for a script that changes something; a failure without a reason is
// looked into.
func (s *Shell) change(ctx context.Context, op, p, script string) error {
	_, err := s.run(ctx, op, p, script, nil)
	var e *transfer.Error
	var exit *ExitError
	if errors.As(err, &exit) && errors.As(err, &e) && errors.Is(e.Kind, transfer.ErrTransient) {
		if kind := s.Why(ctx, p); kind != nil {
			return &transfer.Error{Op: e.Op, Place: e.Place, Path: e.Path, Kind: kind, Err: e.Err, Hint: e.Hint}
		}
	}
	return err
}

// littleSpace is how much must be free if a failure has another reason than a
// full disk.
const littleSpace = 1 << 20

// Why finds out, by looking, what stood against a write to a path:
// transfer.ErrNotExist (the folder is not there), transfer.ErrPermission,
// transfer.ErrNoSpace; nil if nothing is to be seen. It is for servers that tell
// that something failed and not why.
func (s *Shell) Why(ctx context.Context, p string) error {
	dir := path.Dir(p)
	_, err := s.run(ctx, "look at", p, fmt.Sprintf(
		"[ -e %[2]s ] || { [ -e %[3]s ] && ! [ -x %[3]s ] && exit %[5]d; exit %[4]d; }; [ -w %[2]s ] && [ -x %[2]s ] || exit %[5]d; "+
			"[ -e %[1]s ] && ! [ -w %[1]s ] && exit %[5]d; set -- $(stat -f -c '%%a %%S %%d %%c' -- %[2]s) && { [ $(($1 * $2)) -lt %[7]d ] || { [ $3 -eq 0 ] && [ $4 -gt 0 ]; }; } && exit %[6]d; exit 0",
		Quote(p), Quote(dir), Quote(path.Dir(dir)), exitNotExist, exitPermission, exitNoSpace, littleSpace), nil)
	for _, kind := range []error{transfer.ErrNotExist, transfer.ErrPermission, transfer.ErrNoSpace} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// why is what a script that only reads ends with after a failure: the reason, as
// far as it can be found out by looking.
func why(p string) string {
	q, dir := Quote(p), Quote(path.Dir(p))
	return fmt.Sprintf("{ s=$?; [ -e %[1]s ] || [ -L %[1]s ] || { [ -x %[2]s ] || { [ -e %[2]s ] && exit %[3]d; }; exit %[4]d; }; [ -L %[1]s ] || [ -r %[1]s ] || exit %[3]d; exit $s; }", q, dir, exitPermission, exitNotExist)
}

// gnuFind ends a script where find is not GNU's.
func gnuFind() string {
	return fmt.Sprintf("{ s=$?; find / -maxdepth 0 -printf '' 2>/dev/null || exit %d; (exit $s); }", exitUnsupported)
}

// format is what find prints of a file, each field ended by NUL: type, size in
// bytes, modification time in seconds, mode in octal, path below the start, and
// where a link leads.
const format = `'%y\0%s\0%T@\0%m\0%P\0%l\0'`

// Lstat implements transfer.Backend.
func (s *Shell) Lstat(ctx context.Context, p string) (transfer.Info, error) {
	out, err := s.run(ctx, "stat", p, fmt.Sprintf("find %s -maxdepth 0 -printf %s 2>/dev/null || %s || %s", Quote(p), format, gnuFind(), why(p)), nil)
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
		out, err := s.run(ctx, "list", dir, fmt.Sprintf("find %s -mindepth 1 -printf %s || %s || %s", Quote(dir), format, gnuFind(), why(dir)), nil)
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
	return s.change(ctx, "make directory", dir, fmt.Sprintf(
		"{ [ -e %[1]s ] || [ -L %[1]s ]; } && exit %[3]d; mkdir -m 755 -- %[1]s && exit; { [ -e %[1]s ] || [ -L %[1]s ]; } && exit %[3]d; [ -e %[2]s ] || exit %[4]d; [ -w %[2]s ] || exit %[5]d; exit 1",
		q, parent, exitExist, exitNotExist, exitPermission))
}

// Rename implements transfer.Backend. mv -n may report success without having
// moved anything, so both names are looked at afterwards.
func (s *Shell) Rename(ctx context.Context, from, to string) error {
	return s.change(ctx, "rename", to, fmt.Sprintf(
		"[ -e %[1]s ] || [ -L %[1]s ] || exit %[4]d; { [ -e %[2]s ] || [ -L %[2]s ]; } && exit %[5]d; mv -T -n -- %[1]s %[2]s; s=$?; { [ -e %[1]s ] || [ -L %[1]s ]; } || exit $s; [ -w %[3]s ] || exit %[6]d; { [ -e %[2]s ] || [ -L %[2]s ]; } && exit %[5]d; exit 1",
		Quote(from), Quote(to), Quote(path.Dir(to)), exitNotExist, exitExist, exitPermission))
}

// Remove implements transfer.Backend.
func (s *Shell) Remove(ctx context.Context, p string) error {
	return s.change(ctx, "remove", p, "rm -rf -- "+Quote(p))
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

// Sync implements transfer.Syncer, by the file system of the path. A failure may
// be told only once, and is never taken for something else: only where sync
// cannot do that for the root either does it not know how.
func (s *Shell) Sync(ctx context.Context, p string) (bool, error) {
	return s.sync(ctx, p, "sync -f --")
}

// SyncName implements transfer.NameSyncer.
func (s *Shell) SyncName(ctx context.Context, p string) (bool, error) {
	return s.sync(ctx, path.Dir(p), "sync --")
}

func (s *Shell) sync(ctx context.Context, p, command string) (bool, error) {
	_, err := s.run(ctx, "sync", p, fmt.Sprintf("%[1]s %[2]s || { s=$?; %[1]s / 2>/dev/null || exit %[3]d; (exit $s); } || %[4]s", command, Quote(p), exitUnsupported, why(p)), nil)
	if errors.Is(err, transfer.ErrUnsupported) {
		return false, nil
	}
	return err == nil, err
}

// Clone implements transfer.Cloner.
func (s *Shell) Clone(ctx context.Context, from, to string) error {
	return s.change(ctx, "clone", to, fmt.Sprintf("[ -e %[1]s ] || exit %[3]d; cp --reflink=auto --preserve=timestamps -T -- %[1]s %[2]s", Quote(from), Quote(to), exitNotExist))
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
