package gfal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/internal/program"
)

// Programs are those that a Backend runs.
func Programs() []string {
	return []string{"gfal-copy", "gfal-ls", "gfal-mkdir", "gfal-rename", "gfal-rm", "gfal-sum", "gfal-cat"}
}

// Check reports whether the programs are there: ErrUnsupported if one is not.
func (b *Backend) Check() error {
	for _, p := range Programs() {
		if _, err := exec.LookPath(b.path(p)); err != nil {
			return &transfer.Error{Op: "run " + p, Place: b.String(), Kind: transfer.ErrUnsupported, Err: err, Hint: install}
		}
	}
	return nil
}

const install = "install gfal2-util and the gfal2 plugin of this protocol, or use another method"

// Time limits of the programs' own, in seconds, which are on totals: those of
// questions are short, and those of work so long that they do not matter.
const (
	limitAsk  = "300"
	limitWork = "2592000"
)

func (b *Backend) path(name string) string {
	if b.o.Dir != "" {
		return filepath.Join(b.o.Dir, name)
	}
	return name
}

// command makes the command of a program.
func (b *Backend) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(b.path(name), args...)
	cmd.Env = b.env
	return cmd
}

// ask runs a program and returns what it prints.
func (b *Backend) ask(ctx context.Context, op, p, name string, args ...string) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	cmd := b.command(name, args...)
	stderr := &program.Tail{}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	var rerr error
	err = program.Run(ctx, cmd, func(int) { _, rerr = io.Copy(&out, stdout) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil && rerr != nil {
		err = rerr
	}
	if err != nil {
		return out.Bytes(), b.failed(op, p, err, stderr.String())
	}
	return out.Bytes(), nil
}

// failed is the error of a program that failed, with the kind that its exit code has.
func (b *Backend) failed(op, p string, err error, said string) error {
	e := &transfer.Error{Op: op, Place: b.String(), Path: p, Err: err}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			e.Kind, e.Hint = transfer.ErrUnsupported, install
		}
		return e
	}
	code := exit.ExitCode()
	e.Err = &Exit{Code: code, Said: said}
	e.Hint, e.Kind = kindOf(code)
	return e
}

// kindOf gives the kind of an exit code, and the next step: an errno, or what a shell
// says of a program that it cannot start.
func kindOf(code int) (hint string, kind error) {
	switch syscall.Errno(code) {
	case syscall.ENOENT, syscall.ENOTDIR:
		return "", transfer.ErrNotExist
	case syscall.EEXIST, syscall.ENOTEMPTY:
		return "", transfer.ErrExist
	case syscall.EACCES, syscall.EROFS:
		return "see that the certificate is good, and that its owner may do this there", transfer.ErrPermission
	case syscall.ENOSPC, syscall.EDQUOT:
		return "make room there", transfer.ErrNoSpace
	case syscall.EPROTONOSUPPORT, syscall.Errno(127), syscall.Errno(126):
		return install, transfer.ErrUnsupported
	case syscall.ENOSYS, syscall.EOPNOTSUPP:
		return "", transfer.ErrUnsupported
	case syscall.EINVAL, syscall.ENAMETOOLONG, syscall.EISDIR:
		return "", transfer.ErrInvalid
	case syscall.EPERM: // also what the programs say when they know no reason
		return "", nil
	}
	return "it is tried again", transfer.ErrTransient
}

// An Exit is the end of a program that failed.
type Exit struct {
	Code int    // an errno, or 1 if it knows no better; -1: it was killed
	Said string // the end of what it said, for people
}

// Error gives code and text on one line.
func (e *Exit) Error() string {
	return fmt.Sprintf("exit code %d: %s", e.Code, strings.Join(strings.Fields(e.Said), " "))
}

// exited reports whether an error is that of a program with one of these exit codes.
func exited(err error, codes ...syscall.Errno) bool {
	var e *Exit
	return errors.As(err, &e) && slices.Contains(codes, syscall.Errno(e.Code))
}

// environment is what the programs get of an environment: what they know, in a locale
// and time zone that their output can be read in.
func environment(all []string, certificate string) []string {
	if all == nil {
		all = os.Environ()
	}
	env := []string{"LC_ALL=C", "TZ=UTC0", "PYTHONUTF8=1", "PYTHONIOENCODING=utf-8", "PYTHONUNBUFFERED=1"}
	// A server that is not there is no reason to wait for minutes.
	set := map[string]string{"XRD_CONNECTIONWINDOW": "30", "XRD_CONNECTIONRETRY": "1"}
	for _, kv := range all {
		k, v, _ := strings.Cut(kv, "=")
		if _, ok := set[k]; ok {
			set[k] = v
			continue
		}
		if known(k) && !(certificate != "" && strings.HasPrefix(k, "X509_USER_")) {
			env = append(env, kv)
		}
	}
	for k, v := range set {
		env = append(env, k+"="+v)
	}
	if certificate != "" {
		env = append(env, login(certificate)...)
	}
	slices.Sort(env)
	return env
}

// known reports whether a variable is for the programs.
func known(k string) bool {
	switch k {
	case "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "XDG_RUNTIME_DIR", "KRB5CCNAME",
		"http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "BDII_LIST":
		return true
	}
	for _, p := range []string{"GFAL_", "X509_", "BEARER_TOKEN", "XRD_", "Xrd", "GLOBUS_", "LCG_", "DAVIX_", "GLITE_"} {
		if strings.HasPrefix(k, p) {
			return true
		}
	}
	return false
}

// login is the environment that makes the programs use a certificate. One file may hold
// certificate and key, as that of a proxy does, and is then all that they need.
func login(certificate string) []string {
	key := filepath.Join(filepath.Dir(certificate), "userkey.pem")
	if filepath.Base(certificate) == "usercert.pem" {
		return []string{"X509_USER_CERT=" + certificate, "X509_USER_KEY=" + key}
	}
	return []string{"X509_USER_PROXY=" + certificate, "X509_USER_CERT=" + certificate, "X509_USER_KEY=" + certificate}
}
