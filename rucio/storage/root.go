package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"path"
	"sync/atomic"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage/internal/xrd"
	"github.com/cax-go/cax/transfer"
	"go.uber.org/zap"
)

// openRoot serves xrootd: by our own client, and by the programs of XRootD as soon as
// the server turns out to want a login that the client has not.
func openRoot(pl *place, o *Options) (Storage, error) {
	c := xrd.New(xrd.Config{Addr: pl.addr(), User: o.User, TLS: pl.p.Scheme == "roots" || pl.p.Scheme == "xroots", TLSConfig: o.TLS, Stall: pl.stall})
	return &root{place: pl, native: &xrootd{place: pl, c: c}, tools: newTools(pl, o), log: o.Log}, nil
}

// A both is what the two ways to speak xrootd have in common.
type both interface {
	Storage
	Hasher
}

// root chooses between the two.
type root struct {
	*place
	native, tools both
	login         atomic.Bool // the server wants one
	log           *zap.Logger
}

var (
	_ Storage = (*root)(nil)
	_ Hasher  = (*root)(nil)
)

// with does something natively, and if that is refused for want of a login by the
// tools. A login comes before anything else, so that nothing has been done by then.
func (s *root) with(do func(both) error) error {
	if s.login.Load() {
		return do(s.tools)
	}
	err := do(s.native)
	var want *xrd.LoginError
	if !errors.As(err, &want) {
		return err
	}
	if !s.login.Swap(true) {
		s.log.Info("xrootd server wants a login; using xrdcp and xrdfs", zap.String("storage", s.String()), zap.Strings("login", want.Offers))
	}
	return do(s.tools)
}

func (s *root) Stat(ctx context.Context, pfn string) (i Info, err error) {
	err = s.with(func(b both) (err error) { i, err = b.Stat(ctx, pfn); return err })
	return i, err
}

func (s *root) Get(ctx context.Context, pfn string, offset int64) (r io.ReadCloser, err error) {
	err = s.with(func(b both) (err error) { r, err = b.Get(ctx, pfn, offset); return err })
	return r, err
}

func (s *root) Put(ctx context.Context, pfn string, r io.Reader, size int64) error {
	return s.with(func(b both) error { return b.Put(ctx, pfn, r, size) })
}

func (s *root) Rename(ctx context.Context, from, to string) error {
	return s.with(func(b both) error { return b.Rename(ctx, from, to) })
}

func (s *root) Remove(ctx context.Context, pfn string) error {
	return s.with(func(b both) error { return b.Remove(ctx, pfn) })
}

func (s *root) Hash(ctx context.Context, pfn string, a checksum.Algorithm) (sum checksum.Sum, err error) {
	err = s.with(func(b both) (err error) { sum, err = b.Hash(ctx, pfn, a); return err })
	return sum, err
}

func (s *root) Close() error { return errors.Join(s.native.Close(), s.tools.Close()) }

// xrootd is storage spoken to by our own client.
type xrootd struct {
	*place
	c *xrd.Client
}

// at takes a PFN apart. What follows "host/" is the path, which prefixes begin with
// a slash of their own.
func (s *xrootd) at(op, pfn string) (file, error) {
	f, err := s.parse(op, pfn)
	f.path = path.Clean(f.path)
	return f, err
}

// name is the path as the server is asked for it, with what the URL says about it.
func name(f file) string {
	if f.query != "" {
		return f.path + "?" + f.query
	}
	return f.path
}

// wrap gives an error its kind.
func (s *xrootd) wrap(ctx context.Context, op string, f file, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return orEnded(ctx, err)
	}
	var own *transfer.Error
	if errors.As(err, &own) {
		return own
	}
	e := s.fault(op, f, transfer.ErrTransient, err)
	var refused *xrd.Error
	var want *xrd.LoginError
	var timeout interface{ Timeout() bool }
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refused):
		e.Kind = codeKind(refused.Code)
	case errors.As(err, &want):
		e.Kind = transfer.ErrAuth
	case errors.As(err, &cert):
		e.Kind, e.Hint = transfer.ErrHostKey, "add the authority of its certificate to those that are trusted (X509_CERT_DIR)"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Kind, e.Hint = transfer.ErrStalled, "see whether the server hangs; it is tried again"
	case errors.Is(err, xrd.ErrProtocol):
		e.Kind = transfer.ErrInvalid
	}
	return e
}

func codeKind(c xrd.Code) error {
	switch c {
	case xrd.NotFound:
		return transfer.ErrNotExist
	case xrd.ItExists, xrd.FileLocked, xrd.Conflict:
		return transfer.ErrExist
	case xrd.NotAuthorized, xrd.ReadOnly:
		return transfer.ErrPermission
	case xrd.NoSpace, xrd.OverQuota:
		return transfer.ErrNoSpace
	case xrd.AuthFailed, xrd.TLSRequired:
		return transfer.ErrAuth
	case xrd.Unsupported:
		return transfer.ErrUnsupported
	case xrd.ArgInvalid, xrd.NotFile, xrd.IsDirectory:
		return transfer.ErrInvalid
	}
	return transfer.ErrTransient
}

// Stat implements [Storage].
func (s *xrootd) Stat(ctx context.Context, pfn string) (Info, error) {
	f, err := s.at("stat", pfn)
	if err != nil {
		return Info{}, err
	}
	return s.stat(ctx, f)
}

func (s *xrootd) stat(ctx context.Context, f file) (Info, error) {
	st, err := s.c.Stat(ctx, name(f))
	if err != nil {
		return Info{}, s.wrap(ctx, "stat", f, err)
	}
	if st.Dir {
		return Info{}, s.fault("stat", f, transfer.ErrInvalid, errors.New("it is a directory"))
	}
	return Info{Size: st.Size}, nil
}

// Remove implements [Storage].
func (s *xrootd) Remove(ctx context.Context, pfn string) error {
	f, err := s.at("remove", pfn)
	if err != nil {
		return err
	}
	err = s.wrap(ctx, "remove", f, s.c.Remove(ctx, name(f)))
	if errors.Is(err, transfer.ErrNotExist) {
		return nil
	}
	return err
}

// Hash implements [Hasher]. The server may take its time to read the file, in which it
// says nothing.
func (s *xrootd) Hash(ctx context.Context, pfn string, a checksum.Algorithm) (checksum.Sum, error) {
	f, err := s.at("hash", pfn)
	if err != nil {
		return checksum.Sum{}, err
	}
	alg, _ := digestName(a)
	if alg == "" {
		return checksum.Sum{}, s.fault("hash", f, transfer.ErrUnsupported, nil)
	}
	i, err := s.stat(ctx, f)
	if err != nil {
		return checksum.Sum{}, err
	}
	got, value, err := s.c.Checksum(ctx, name(f), alg, i.Size/slowest)
	var refused *xrd.Error
	if errors.As(err, &refused) && refused.Code == xrd.ServerError || err == nil && got != alg {
		// It is there, and this is how a server says that it knows no such algorithm.
		return checksum.Sum{}, s.fault("hash", f, transfer.ErrUnsupported, err)
	}
	if err != nil {
		return checksum.Sum{}, s.wrap(ctx, "hash", f, err)
	}
	sum, err := checksum.ParseBare(a, value)
	if err != nil {
		return checksum.Sum{}, s.fault("hash", f, transfer.ErrInvalid, err)
	}
	return sum, nil
}

// Close implements [Storage].
func (s *xrootd) Close() error { return s.c.Close() }
