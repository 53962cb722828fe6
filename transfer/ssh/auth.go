package ssh

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/cax-go/cax/transfer"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keys collects the private keys that a login may use, and says for people what
// it looked at. Close the agent's connection when the login is over.
// Keys of files that were asked for come first: a server hangs up after a few
// wrong ones, and an agent may hold many.
func (r *resolved) keys(ctx context.Context) (signers []ssh.Signer, tried []string, done func(), err error) {
	var ofAgent []ssh.Signer
	var triedAgent []string
	done = func() {}
	if r.AgentSocket != "" {
		if conn, derr := new(net.Dialer).DialContext(ctx, "unix", r.AgentSocket); derr == nil {
			// An agent may wait for a person; it does so no longer than the login.
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			done = func() { stop(); conn.Close() }
			if s, aerr := agent.NewClient(conn).Signers(); aerr == nil {
				ofAgent = s
				triedAgent = append(triedAgent, fmt.Sprintf("%d keys of the agent", len(s)))
			}
		}
	}
	for _, f := range r.IdentityFiles {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) && r.given.IdentityFiles == nil {
			continue
		}
		if err != nil {
			return nil, nil, done, &transfer.Error{Op: "connect", Place: r.place(), Path: f, Kind: transfer.ErrInvalid, Err: err, Hint: `correct "identity_file"`}
		}
		s, err := ssh.ParsePrivateKey(b)
		var locked *ssh.PassphraseMissingError
		switch {
		case errors.As(err, &locked):
			tried = append(tried, f+" (has a passphrase: add it to an agent)")
		case err != nil:
			return nil, nil, done, &transfer.Error{Op: "connect", Place: r.place(), Path: f, Kind: transfer.ErrInvalid, Err: err, Hint: "it should be an OpenSSH private key"}
		default:
			signers = append(signers, s)
			tried = append(tried, f)
		}
	}
	if r.given.IdentityFiles != nil {
		return append(signers, ofAgent...), append(tried, triedAgent...), done, nil
	}
	return append(ofAgent, signers...), append(triedAgent, tried...), done, nil
}

func refused(r *resolved, tried []string, cause error) error {
	e := &transfer.Error{Op: "log in", Place: r.place(), Kind: transfer.ErrAuth, Err: cause,
		Hint: fmt.Sprintf("add one of the public keys to authorized_keys of %s there", r.User)}
	if len(tried) == 0 {
		e.Err = errors.New("there is no key to log in with")
		e.Hint = `set "identity_file", or start an agent`
	} else {
		e.Err = fmt.Errorf("tried %s", strings.Join(tried, ", "))
	}
	return e
}
