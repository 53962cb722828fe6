package ruciotest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// An identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// organization is the O of all subjects.
const organization = "cax test"

// subjectOf is how Rucio knows the certificate of an account.
func subjectOf(account string) string { return "/O=" + organization + "/CN=" + account }

// makeLogins writes the authority, the server's certificate, and the certificates and
// keys of the accounts.
func (s *Server) makeLogins() error {
	s.CAFile, s.CADir = filepath.Join(s.Dir, "ca.pem"), filepath.Join(s.Dir, "ca")
	for _, dir := range []string{"ca", "tmp", "python"} {
		if err := os.Mkdir(filepath.Join(s.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	ca, err := issue(nil, &x509.Certificate{Subject: name("authority"), IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	if err != nil {
		return err
	}
	if err := writePEM(s.CAFile, 0o644, ca.cert); err != nil {
		return err
	}
	if err := writePEM(filepath.Join(s.CADir, opensslHash("authority")+".0"), 0o644, ca.cert); err != nil {
		return err
	}
	host, err := issue(ca, &x509.Certificate{Subject: name("localhost"), DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, KeyUsage: x509.KeyUsageDigitalSignature})
	if err != nil {
		return err
	}
	for _, prefix := range []string{"host", "front"} { // XRootD's own and ours
		if err := writePEM(filepath.Join(s.Dir, prefix+".pem"), 0o644, host.cert); err != nil {
			return err
		}
		if err := writePEM(filepath.Join(s.Dir, prefix+".key"), 0o600, host.key); err != nil {
			return err
		}
	}
	for account, l := range map[string]*Login{"ruciax": &s.Admin, "alice": &s.User} {
		base := filepath.Join(s.Dir, account)
		*l = Login{Account: account, SSHKey: base + ".ssh", Cert: base + ".pem", Key: base + ".key", Proxy: base + ".proxy"}
		if err := l.makeX509(ca); err != nil {
			return err
		}
		if err := l.makeSSH(); err != nil {
			return err
		}
	}
	// gfal2 for the Python client, where the system has it.
	modules, err := filepath.Glob("/usr/lib/python3/dist-packages/gfal2*.so")
	if err != nil {
		return err
	}
	for _, m := range modules {
		if err := os.Symlink(m, filepath.Join(s.Dir, "python", filepath.Base(m))); err != nil {
			return err
		}
	}
	return nil
}

func (l *Login) makeX509(ca *identity) error {
	user, err := issue(ca, &x509.Certificate{Subject: name(l.Account), KeyUsage: x509.KeyUsageDigitalSignature})
	if err != nil {
		return err
	}
	// RFC 3820: the subject is the user's and one more CN, and the extension says that
	// the proxy has all the rights of the user.
	info, err := asn1.Marshal(struct {
		Policy struct{ Language asn1.ObjectIdentifier }
	}{struct{ Language asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 21, 1}}})
	if err != nil {
		return err
	}
	subject := name(l.Account)
	subject.ExtraNames = []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: organization},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: l.Account},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "4711"},
	}
	subject.Organization, subject.CommonName = nil, ""
	proxy, err := issue(user, &x509.Certificate{Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: proxyInfo(), Critical: true, Value: info}}})
	if err != nil {
		return err
	}
	if err := writePEM(l.Cert, 0o644, user.cert); err != nil {
		return err
	}
	if err := writePEM(l.Key, 0o600, user.key); err != nil {
		return err
	}
	return writePEM(l.Proxy, 0o600, proxy.cert, proxy.key, user.cert)
}

// proxyInfo is the extension that makes a certificate a proxy.
func proxyInfo() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 14} }

// makeSSH writes an RSA key, the only kind that Rucio knows.
func (l *Login) makeSSH() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.SSHKey+".pub", ssh.MarshalAuthorizedKey(public), 0o644); err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(l.SSHKey, pem.EncodeToMemory(block), 0o600)
}

func name(cn string) pkix.Name {
	return pkix.Name{Organization: []string{organization}, CommonName: cn}
}

// issue signs a certificate for a new key; a nil issuer is the certificate itself.
func issue(by *identity, template *x509.Certificate) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(48*time.Hour)
	template.BasicConstraintsValid = template.IsCA
	if by == nil {
		by = &identity{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &identity{cert, key}, err
}

func writePEM(file string, mode os.FileMode, parts ...any) error {
	var b []byte
	for _, part := range parts {
		block := &pem.Block{}
		switch part := part.(type) {
		case *x509.Certificate:
			block.Type, block.Bytes = "CERTIFICATE", part.Raw
		case *ecdsa.PrivateKey:
			der, err := x509.MarshalPKCS8PrivateKey(part)
			if err != nil {
				return err
			}
			block.Type, block.Bytes = "PRIVATE KEY", der
		default:
			return fmt.Errorf("a %T has no PEM form", part)
		}
		b = append(b, pem.EncodeToMemory(block)...)
	}
	return os.WriteFile(file, b, mode)
}

// opensslHash is the file name by which OpenSSL finds an authority in a folder: the
// SHA-1 of the subject in lower case without the outermost header.
func opensslHash(cn string) string {
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	type nameSET []attribute // asn1 takes the suffix for a set
	var der []byte
	for _, a := range []attribute{
		{asn1.ObjectIdentifier{2, 5, 4, 10}, organization},
		{asn1.ObjectIdentifier{2, 5, 4, 3}, cn},
	} {
		a.Value = strings.ToLower(a.Value)
		b, err := asn1.Marshal(nameSET{a})
		if err != nil {
			panic(err) // not with these types
		}
		der = append(der, b...)
	}
	sum := sha1.Sum(der)
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:4]))
}
