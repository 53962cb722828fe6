package ssh

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/cax-go/cax/transfer"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys gives the check of a server's host key, and the key algorithms to ask
// for, so that a server with several keys shows one that is known.
func (r *resolved) hostKeys() (ssh.HostKeyCallback, []string, error) {
	if r.HostKey != "" {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(r.HostKey))
		if err != nil {
			return nil, nil, &transfer.Error{Op: "connect", Place: r.Host, Kind: transfer.ErrInvalid, Err: fmt.Errorf("host_key: %w", err),
				Hint: `it should read like "ssh-ed25519 AAAA…", as a line of ssh-keyscan without the host`}
		}
		return r.pinned(key), algorithms(key.Type()), nil
	}
	var files []string
	for _, f := range r.KnownHosts {
		if exists(f) {
			files = append(files, f)
		}
	}
	known, err := knownhosts.New(files...)
	if err != nil {
		return nil, nil, &transfer.Error{Op: "connect", Place: r.Host, Kind: transfer.ErrInvalid, Err: err, Hint: "correct the known_hosts file"}
	}
	check := func(_ string, remote net.Addr, key ssh.PublicKey) error {
		err := known(r.keyName, remote, key)
		if err == nil {
			return nil
		}
		return r.distrust(err, key)
	}
	return check, r.knownAlgorithms(known), nil
}

func (r *resolved) pinned(want ssh.PublicKey) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if string(key.Marshal()) == string(want.Marshal()) {
			return nil
		}
		return &transfer.Error{Op: "connect", Place: r.place(), Kind: transfer.ErrHostKey,
			Err:  fmt.Errorf("the server shows %s %s, and %s is pinned", key.Type(), ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(want)),
			Hint: `find out whether the server was set up anew; if so, correct "host_key"`}
	}
}

// distrust says why a host key is not trusted and what to do.
func (r *resolved) distrust(err error, key ssh.PublicKey) error {
	e := &transfer.Error{Op: "connect", Place: r.place(), Kind: transfer.ErrHostKey, Err: err}
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	host, port, _ := net.SplitHostPort(r.addr)
	switch {
	case errors.As(err, &revoked):
		e.Err = fmt.Errorf("its key %s is revoked in %s", ssh.FingerprintSHA256(key), revoked.Revoked.Filename)
		e.Hint = "ask who runs the server for its new key"
	case errors.As(err, &unknown) && len(unknown.Want) > 0:
		w := unknown.Want[0]
		e.Err = fmt.Errorf("host key of %s has changed: it shows %s %s, and %s line %d has another", r.addr, key.Type(), ssh.FingerprintSHA256(key), w.Filename, w.Line)
		e.Hint = "somebody may listen in; find out whether the server was set up anew before you correct that line"
	case errors.As(err, &unknown):
		e.Err = fmt.Errorf("host key of %s (%s %s) is not in known_hosts", r.addr, key.Type(), ssh.FingerprintSHA256(key))
		e.Hint = fmt.Sprintf(`compare the fingerprint with its owner's, then add it with ssh-keyscan -p %s %s >> %s, or set "host_key"`, port, host, r.KnownHosts[0])
	}
	return e
}

// knownAlgorithms are those of the keys that known_hosts has for the server; nil
// if it has none.
func (r *resolved) knownAlgorithms(known ssh.HostKeyCallback) []string {
	var e *knownhosts.KeyError
	if !errors.As(known(r.keyName, &net.TCPAddr{IP: net.IPv4zero}, noKey{}), &e) {
		return nil
	}
	var algs []string
	for _, k := range e.Want {
		for _, a := range algorithms(k.Key.Type()) {
			if !slices.Contains(algs, a) {
				algs = append(algs, a)
			}
		}
	}
	return algs
}

// algorithms are the signature algorithms of a key type, the better ones first.
func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// noKey is a key that no server has: asking for it lists those that are known.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
