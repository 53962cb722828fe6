package ssh

import (
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
func (r *resolved) keys() (signers []ssh.Signer, tried []string, done func(), err error) {
	done = func() {}
	if r.AgentSocket != "" {
		if conn, err := net.Dial("unix", r.AgentSocket); err == nil {
			done = func() { conn.Close() }
			if s, err := agent.NewClient(conn).Signers(); err == nil {
				signers = append(signers, s...)
				tried = append(tried, fmt.Sprintf("%d keys of the agent", len(s)))
			}
		}
	}
	for _, f := range r.IdentityFiles {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) && r.Config.IdentityFiles == nil {
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
	return signers, tried, done, nil
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
