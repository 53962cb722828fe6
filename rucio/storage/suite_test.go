package storage_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/rucio/storage/storagetest"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/gfal"
	"github.com/cax-go/cax/transfer/gfal/gfaltest"
	"github.com/cax-go/cax/transfer/ssh"
	"github.com/cax-go/cax/transfer/transfertest"
)

// TestMain makes this test binary be the programs of gfal2-util when it is called so.
func TestMain(m *testing.M) {
	gfaltest.Main()
	os.Exit(transfertest.Main(m))
}

// open opens a storage with limits for tests.
func open(t *testing.T, p storage.Protocol, o storage.Options) storage.Storage {
	t.Helper()
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	s, err := storage.Open(t.Context(), p, &o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at makes the protocol of a server, and the prefix of its PFNs.
func at(t *testing.T, scheme, addr, prefix string) (storage.Protocol, func(string) string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return storage.Protocol{Scheme: scheme, Host: host, Port: n, Prefix: prefix},
		func(p string) string { return scheme + "://" + addr + prefix + p }
}

// web starts a server and returns its address.
func web(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	p := storage.Protocol{Scheme: "file", Host: "localhost", Prefix: dir + "/rse", Impl: "rucio.rse.protocols.posix.Default"}
	storagetest.Run(t, storagetest.Harness{
		Open:   func(t *testing.T) storage.Storage { return open(t, p, storage.Options{}) },
		PFN:    func(path string) string { return "file://localhost" + dir + "/rse/" + path },
		Hashes: checksum.Algorithms(),
	})
}

func TestWebDAV(t *testing.T) {
	for name, srv := range map[string]*storagetest.Web{
		"strict": {},
		"loose":  {Overwrite: true, MadeParents: true},
	} {
		t.Run(name, func(t *testing.T) {
			p, pfn := at(t, "dav", web(t, srv), "/rucio/")
			storagetest.Run(t, storagetest.Harness{
				Open:    func(t *testing.T) storage.Storage { return open(t, p, storage.Options{}) },
				PFN:     pfn,
				Hashes:  []checksum.Algorithm{checksum.Adler32, checksum.MD5},
				Foreign: []string{"dav://other.example/rucio/file", "https://" + p.Host + "/rucio/file"},
			})
		})
	}
}

func TestObjectStore(t *testing.T) {
	srv := &storagetest.Web{Key: "secret"}
	tls := httptest.NewTLSServer(srv)
	t.Cleanup(tls.Close)
	p, pfn := at(t, "s3", tls.Listener.Addr().String(), "/bucket/")
	storagetest.Run(t, storagetest.Harness{
		Open: func(t *testing.T) storage.Storage {
			return open(t, p, storage.Options{TLS: trust(tls), Sign: sign(srv)})
		},
		PFN:      pfn,
		NoRename: true,
	})
}

func sign(srv *storagetest.Web) func(context.Context, storage.Operation, string) (string, error) {
	return func(_ context.Context, op storage.Operation, u string) (string, error) {
		method := map[storage.Operation]string{storage.Read: http.MethodGet, storage.Write: http.MethodPut, storage.Delete: http.MethodDelete}[op]
		return srv.SignedURL(method, u), nil
	}
}

func TestSFTP(t *testing.T) {
	d := transfertest.StartServer(t, transfertest.ServerOptions{Shell: true})
	dir := t.TempDir()
	p := storage.Protocol{Scheme: "sftp", Host: d.Host, Port: d.Port, Prefix: dir, Extended: map[string]any{"user": d.User}}
	storagetest.Run(t, storagetest.Harness{
		Open: func(t *testing.T) storage.Storage {
			return open(t, p, storage.Options{SSH: &ssh.Config{IdentityFiles: []string{d.IdentityFile}, HostKey: d.HostKey}})
		},
		PFN: func(path string) string {
			return "sftp://" + d.User + "@" + d.Host + ":" + strconv.Itoa(d.Port) + dir + "/" + path
		},
		Hashes: []checksum.Algorithm{checksum.MD5},
	})
}

// TestRoot speaks to a server in this process.
func TestRoot(t *testing.T) {
	srv := storagetest.StartRoot(t)
	p, pfn := at(t, "root", srv.Addr, "//rucio/")
	storagetest.Run(t, storagetest.Harness{
		Open:   func(t *testing.T) storage.Storage { return open(t, p, storage.Options{}) },
		PFN:    pfn,
		Hashes: []checksum.Algorithm{checksum.Adler32},
	})
}

// TestSRM has a stand-in for the programs of gfal2-util.
func TestSRM(t *testing.T) {
	t.Setenv("PATH", gfaltest.Install(t, gfal.Programs())+":"+os.Getenv("PATH"))
	dir := t.TempDir()
	p := storage.Protocol{Scheme: "srm", Host: "se.example", Port: 8443, Prefix: dir, Impl: "rucio.rse.protocols.gfal.Default",
		Extended: map[string]any{"web_service_path": "/srm/managerv2?SFN="}}
	pfn := func(path string) string { return "srm://se.example:8443/srm/managerv2?SFN=" + dir + "/" + path }
	storagetest.Run(t, storagetest.Harness{
		Open:   func(t *testing.T) storage.Storage { return open(t, p, storage.Options{}) },
		PFN:    pfn,
		Hashes: []checksum.Algorithm{checksum.Adler32, checksum.MD5},
	})
}

// TestSRMFiles gives the programs whole files.
func TestSRMFiles(t *testing.T) {
	t.Setenv("PATH", gfaltest.Install(t, gfal.Programs())+":"+os.Getenv("PATH"))
	dir := t.TempDir()
	s := open(t, storage.Protocol{Scheme: "srm", Host: "se.example", Prefix: dir + "/rse"}, storage.Options{})
	defer s.Close()
	pfn := "srm://se.example:8443/srm/managerv2?SFN=" + dir + "/rse/a/b/file"
	if err := os.WriteFile(dir+"/local", []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	var sent, got atomic.Int64
	if err := s.(storage.FilePutter).PutFile(t.Context(), dir+"/local", pfn, func(n int64) { sent.Add(n) }); err != nil {
		t.Fatal(err)
	}
	if err := s.(storage.FilePutter).PutFile(t.Context(), dir+"/local", pfn, nil); !errors.Is(err, transfer.ErrExist) {
		t.Errorf("put again: %v", err)
	}
	if err := s.(storage.FileGetter).GetFile(t.Context(), pfn, dir+"/back", func(n int64) { got.Add(n) }); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(dir + "/back"); err != nil || string(data) != "0123456789" {
		t.Errorf("%q, %v", data, err)
	}
	if sent.Load() != 10 || got.Load() != 10 {
		t.Errorf("told of %d bytes sent and %d fetched", sent.Load(), got.Load())
	}
	if err := s.(storage.FileGetter).GetFile(t.Context(), pfn+"none", dir+"/none", nil); !errors.Is(err, transfer.ErrNotExist) {
		t.Errorf("get what is not there: %v", err)
	}
}
