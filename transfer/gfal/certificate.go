package gfal

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/cax-go/cax/transfer"
)

// A Certificate tells for people what a certificate file holds.
type Certificate struct {
	Subject string    // of the first certificate, which is the proxy in a proxy's file
	Until   time.Time // when the first of its certificates ends
}

// ReadCertificate reads the file of a certificate as Options.Certificate names it.
// ErrNotExist or ErrPermission if it cannot be read, ErrInvalid if it holds no
// certificate, or if there is no key for it. Nothing is said about who trusts it.
func ReadCertificate(file string) (Certificate, error) {
	var c Certificate
	bad := func(kind, err error, hint string) error {
		return &transfer.Error{Op: "read certificate", Path: file, Kind: kind, Err: err, Hint: hint}
	}
	text, err := read(file)
	if err != nil {
		return c, err
	}
	key := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			key = true
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		x, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return c, bad(transfer.ErrInvalid, err, "make a new one")
		}
		if c.Subject == "" {
			c.Subject, c.Until = x.Subject.String(), x.NotAfter
		}
		if x.NotAfter.Before(c.Until) {
			c.Until = x.NotAfter
		}
	}
	if c.Subject == "" {
		return c, bad(transfer.ErrInvalid, errors.New("it holds no certificate"), "name a file in PEM format")
	}
	if key {
		return c, nil
	}
	for _, kv := range login(file) {
		other, ok := strings.CutPrefix(kv, "X509_USER_KEY=")
		if !ok || other == file {
			continue
		}
		if text, err = read(other); err != nil {
			return c, err
		}
		if bytes.Contains(text, []byte("PRIVATE KEY")) {
			return c, nil
		}
	}
	return c, bad(transfer.ErrInvalid, errors.New("there is no key for it"),
		"name a file with certificate and key, as that of a proxy, or a usercert.pem that has its userkey.pem beside it")
}

func read(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return text, err
	}
	e := &transfer.Error{Op: "read certificate", Path: file, Err: pe.Err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Hint = transfer.ErrNotExist, "make one, or correct its name"
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Hint = transfer.ErrPermission, "let the account that cax uses read it"
	}
	return nil, e
}
