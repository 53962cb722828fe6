package rucio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"os"

	"golang.org/x/crypto/ssh"
)

// SSH logs in with an RSA key: the server sends a challenge, which is signed.
type SSH struct {
	KeyFile string // PEM or OpenSSH form, without a passphrase
}

// Method is "ssh".
func (s SSH) Method() string { return "ssh" }

// Login implements [Authenticator]. The signature is by rsa-sha2-256.
func (s SSH) Login(ctx context.Context, l *Login) (Token, error) {
	signer, err := s.signer()
	if err != nil {
		return Token{}, err
	}
	h, err := l.Get(ctx, "/auth/ssh_challenge_token", nil)
	if err != nil {
		return Token{}, err
	}
	challenge := h.Get("X-Rucio-SSH-Challenge-Token") // valid for ten seconds
	sig, err := signer.SignWithAlgorithm(rand.Reader, []byte(challenge), ssh.KeyAlgoRSASHA256)
	if err != nil {
		return Token{}, &Error{Op: "log in", Thing: l.c.who(), Kind: ErrAuth, Err: err}
	}
	blob := ssh.Marshal(struct {
		Format string
		Blob   []byte
	}{sig.Format, sig.Blob})
	return l.get(ctx, "/auth/ssh", http.Header{"X-Rucio-Ssh-Signature": {base64.StdEncoding.EncodeToString(blob)}})
}

func (s SSH) signer() (ssh.AlgorithmSigner, error) {
	bad := func(err error, hint string) error {
		return &Error{Op: "read ssh key", Thing: s.KeyFile, Kind: ErrInvalid, Err: err, Hint: hint}
	}
	pem, err := os.ReadFile(s.KeyFile)
	if err != nil {
		return nil, bad(err, "name it in ssh_private_key")
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, bad(err, "")
	}
	signer, ok := key.(ssh.AlgorithmSigner)
	if !ok || key.PublicKey().Type() != ssh.KeyAlgoRSA {
		return nil, bad(nil, "the server verifies RSA keys alone, and this is "+key.PublicKey().Type())
	}
	return signer, nil
}
