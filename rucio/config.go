package rucio

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// A Config says how to reach a server and as whom. A program fills it in itself
// or has it made by [Load]. Host and Auth are required.
type Config struct {
	Host      string // URL, as "https://rucio.example"
	AuthHost  string // URL for logins; "": Host
	TraceHost string // URL for traces; "": Host

	Account string        // "": the account that the server gives to the identity
	VO      string        // "": "def"
	Auth    Authenticator // how to log in

	CA        string          // file or directory of certificates that sign servers; "": the system's
	Transport *http.Transport // the client uses a copy of it, with CA and the certificate of Auth added; nil: one with usual time limits

	TokenFile string // where the token is kept between programs; "": nowhere
	UserAgent string // "": "cax-rucio"
	Script    string // name of the program, for the server's records; "": "cax"

	Site     string   // the site that we are, to find out which RSEs are near; "": "ROAMING"
	Location Location // where we are, for the order of replicas

	Retries int           // how often a request is sent again; 0: 3, negative: never
	Backoff time.Duration // the first pause before that, doubled each time; 0: 250 ms
	Stall   time.Duration // an answer or a stream is given up when nothing comes for so long; 0: 2 min

	Log *zap.Logger      // what an operator should see: tokens that cannot be kept, retries; nil: none
	Now func() time.Time // nil: time.Now
}

// A Location says where a client is.
type Location struct {
	IP        string   `json:"ip,omitempty"`
	FQDN      string   `json:"fqdn,omitempty"`
	Site      string   `json:"site,omitempty"`
	Latitude  *float64 `json:"latitude,omitempty"`
	Longitude *float64 `json:"longitude,omitempty"`
}

// TLSConfig is what connections to the server, and to storage that trusts the same
// authorities, are made with: CA, and the certificate of Auth if that has one,
// read anew at each handshake since proxies are renewed.
func (c Config) TLSConfig() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pool, err := readCAs(c.CA)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = pool
	}
	if a, ok := c.Auth.(certified); ok {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return a.certificate()
		}
	}
	return conf, nil
}

// readCAs reads the certificates of a file or of all files of a directory, as
// grid sites have them (among lists of revocations and policies).
func readCAs(path string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	bad := func(err error) error {
		return &Error{Op: "read CA certificates", Thing: path, Kind: ErrInvalid, Err: err, Hint: "ca_cert and X509_CERT_DIR name a PEM file or a directory of such"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, bad(err)
	}
	files := []string{path}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, bad(err)
		}
		files = files[:0]
		for _, e := range entries {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	found := false
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			if info.IsDir() && (errors.Is(err, fs.ErrNotExist) || isDir(f)) {
				continue // a link into nothing, a folder
			}
			return nil, bad(err)
		}
		if pool.AppendCertsFromPEM(data) {
			found = true
		}
	}
	if !found {
		return nil, bad(errors.New("there is no certificate in it"))
	}
	return pool, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
