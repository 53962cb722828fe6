package gfal_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/gfal"
)

// pemOf makes a certificate of this lifetime, and its key.
func pemOf(t *testing.T, until time.Time) (certificate, key string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cax"}, NotBefore: time.Unix(0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, pub, priv)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}))
}

func TestReadCertificate(t *testing.T) {
	soon, late := time.Unix(1_900_000_000, 0).UTC(), time.Unix(2_000_000_000, 0).UTC()
	proxy, proxyKey := pemOf(t, soon)
	user, userKey := pemOf(t, late)
	for name, tc := range map[string]struct {
		files map[string]string
		file  string
		until time.Time
		kind  error
	}{
		"a proxy":              {map[string]string{"proxy": proxy + proxyKey + user}, "proxy", soon, nil},
		"certificate and key":  {map[string]string{"both.pem": user + userKey}, "both.pem", late, nil},
		"a chain that ends":    {map[string]string{"proxy": user + userKey + proxy}, "proxy", soon, nil},
		"key beside it":        {map[string]string{"usercert.pem": user, "userkey.pem": userKey}, "usercert.pem", late, nil},
		"no key":               {map[string]string{"user_cert": user}, "user_cert", late, transfer.ErrInvalid},
		"no key beside it":     {map[string]string{"usercert.pem": user}, "usercert.pem", late, transfer.ErrNotExist},
		"no certificate":       {map[string]string{"x": userKey}, "x", time.Time{}, transfer.ErrInvalid},
		"no PEM":               {map[string]string{"x": "hello"}, "x", time.Time{}, transfer.ErrInvalid},
		"a broken certificate": {map[string]string{"x": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "x", time.Time{}, transfer.ErrInvalid},
		"missing":              {nil, "x", time.Time{}, transfer.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for n, text := range tc.files {
				if err := os.WriteFile(filepath.Join(dir, n), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := gfal.ReadCertificate(filepath.Join(dir, tc.file))
			if !errors.Is(err, tc.kind) || tc.kind == nil && err != nil {
				t.Fatalf("error %v, want %v", err, tc.kind)
			}
			if err == nil && (!c.Until.Equal(tc.until) || c.Subject != "CN=cax") {
				t.Errorf("%+v, want until %v", c, tc.until)
			}
		})
	}
}
