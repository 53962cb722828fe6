package storage_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
)

// trust trusts a test server.
func trust(srvs ...*httptest.Server) *tls.Config {
	pool := x509.NewCertPool()
	for _, s := range srvs {
		pool.AddCert(s.Certificate())
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
