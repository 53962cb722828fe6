package rucio

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
)

// X509 logs in with a certificate and its key, PEM files.
type X509 struct {
	Cert, Key string
}

// Method is "x509".
func (x X509) Method() string { return "x509" }

// Login implements [Authenticator].
func (x X509) Login(ctx context.Context, l *Login) (Token, error) {
	return loginByCert(ctx, l, x, "/auth/x509")
}

func (x X509) certificate() (*tls.Certificate, error) {
	info, err := os.Stat(x.Key)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, &Error{Op: "read client key", Thing: x.Key, Kind: ErrInvalid, Hint: "others can read it: chmod 600, and think of it as known"}
	}
	return loadCertificate(x.Cert, x.Key)
}

// X509Proxy logs in with a grid proxy: one file with certificate, key and chain.
type X509Proxy struct {
	File string
}

// Method is "x509_proxy".
func (x X509Proxy) Method() string { return "x509_proxy" }

// Login implements [Authenticator].
func (x X509Proxy) Login(ctx context.Context, l *Login) (Token, error) {
	return loginByCert(ctx, l, x, "/auth/x509_proxy")
}

func (x X509Proxy) certificate() (*tls.Certificate, error) { return loadCertificate(x.File, x.File) }

func loadCertificate(cert, key string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, &Error{Op: "read client certificate", Thing: cert, Kind: ErrAuth, Err: err, Hint: "make the certificate or proxy anew, or name another file"}
	}
	return &pair, nil
}

// loginByCert checks the certificate first: a server may not ask for it, and a handshake
// hides why it could not be read.
func loginByCert(ctx context.Context, l *Login, x interface {
	Authenticator
	certified
}, path string) (Token, error) {
	pair, err := x.certificate()
	if err != nil {
		return Token{}, err
	}
	if leaf := pair.Leaf; leaf != nil && l.c.cfg.Now().After(leaf.NotAfter) {
		return Token{}, &Error{Op: "log in", Thing: l.c.who(), Kind: ErrAuth, Err: errors.New("the certificate ended at " + leaf.NotAfter.UTC().Format("2006-01-02 15:04:05 MST")), Hint: "make a new one"}
	}
	return l.get(ctx, path, nil)
}
