package ruciotest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// startFront serves TLSURL: it verifies client certificates and tells the server
// their subject, as Apache would.
func (s *Server) startFront() {
	s.t.Helper()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	cert, err := tls.LoadX509KeyPair(filepath.Join(s.Dir, "front.pem"), filepath.Join(s.Dir, "front.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	next := s.Handler()
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("X-Cax-Subject")
			if certs := r.TLS.PeerCertificates; len(certs) > 0 {
				subject, err := verify(certs, pool)
				if err != nil {
					http.Error(w, err.Error(), http.StatusForbidden)
					return
				}
				r.Header.Set("X-Cax-Subject", subject)
			}
			next.ServeHTTP(w, r)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(l, "", "") }()
	s.t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			s.t.Error(err)
		}
	})
	s.TLSURL = "https://" + l.Addr().String()
}

// verify returns the subject of a client's certificate: one that the authority has
// signed, or proxies down from such a one.
func verify(chain []*x509.Certificate, pool *x509.CertPool) (string, error) {
	user := 0
	for isProxy(chain[user]) {
		proxy := chain[user]
		if user++; user == len(chain) {
			return "", errors.New("a proxy without the certificate that signed it")
		}
		if err := chain[user].CheckSignature(proxy.SignatureAlgorithm, proxy.RawTBSCertificate, proxy.Signature); err != nil {
			return "", err
		}
	}
	_, err := chain[user].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return "", err
	}
	return subject(chain[0])
}

func isProxy(c *x509.Certificate) bool {
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(proxyInfo()) })
}

// subject is the subject in the order of the certificate, as OpenSSL writes it.
func subject(c *x509.Certificate) (string, error) {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(c.RawSubject, &rdns); err != nil {
		return "", err
	}
	short := map[string]string{"2.5.4.3": "CN", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C"}
	var b strings.Builder
	for _, rdn := range rdns {
		for _, a := range rdn {
			fmt.Fprintf(&b, "/%s=%v", short[a.Type.String()], a.Value)
		}
	}
	return b.String(), nil
}
