package storage_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/rucio/storage/storagetest"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
)

func real(t *testing.T, o storagetest.XRootDOptions) *storagetest.XRootD {
	t.Helper()
	long(t)
	return storagetest.StartXRootD(t, o)
}

func long(t *testing.T) {
	t.Helper()
	if !transfertest.Long() {
		t.Skip("CAX_INTEGRATION is not 1")
	}
}

// TestApache speaks to a real WebDAV server that is strict.
func TestApache(t *testing.T) {
	long(t)
	p, pfn := at(t, "dav", storagetest.StartApache(t), "/rucio/")
	storagetest.Run(t, storagetest.Harness{
		Open: func(t *testing.T) storage.Storage { return open(t, p, storage.Options{}) },
		PFN:  pfn,
	})
}

// TestXRootDJudges: what we put there the programs of others read, and the other way
// round.
func TestXRootDJudges(t *testing.T) {
	d := real(t, storagetest.XRootDOptions{})
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcdef"), 100<<10)
	if err := os.WriteFile(dir+"/file", data, 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(argv ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v: %s", argv, err, out)
		}
	}
	for _, tc := range []struct {
		scheme, addr, prefix string
		get, put             []string // before the two addresses
	}{
		{"root", d.Root, "//rucio/root/", []string{"xrdcp", "-s"}, []string{"xrdcp", "-s"}},
		{"http", d.HTTP, "/rucio/dav/", []string{"davix-get"}, []string{"davix-put"}},
	} {
		t.Run(tc.scheme, func(t *testing.T) {
			for _, program := range []string{tc.get[0], tc.put[0]} {
				if _, err := exec.LookPath(program); err != nil {
					transfertest.Missing(t, "xrootd", program+" is not on the PATH", "apt-get install xrootd-client davix")
				}
			}
			p, pfn := at(t, tc.scheme, tc.addr, tc.prefix)
			s := open(t, p, storage.Options{})
			defer s.Close()
			if err := s.Put(t.Context(), pfn("a/ours"), bytes.NewReader(data), int64(len(data))); err != nil {
				t.Fatal(err)
			}
			back := filepath.Join(dir, tc.scheme)
			run(append(tc.get, pfn("a/ours"), back)...)
			if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s read %d bytes, %v", tc.get[0], len(got), err)
			}
			run(append(tc.put, dir+"/file", pfn("a/theirs"))...)
			r, err := s.Get(t.Context(), pfn("a/theirs"), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("we read %d bytes of what %s put there, %v", len(got), tc.put[0], err)
			}
			sum, err := s.(storage.Hasher).Hash(t.Context(), pfn("a/theirs"), checksum.Adler32)
			if err != nil || sum != adler(data) {
				t.Errorf("hash: %v, %v", sum, err)
			}
		})
	}
}

// TestXRootD speaks to a real server, by both of its protocols.
func TestXRootD(t *testing.T) {
	d := real(t, storagetest.XRootDOptions{})
	for scheme, addr := range map[string]string{"root": d.Root, "dav": d.HTTP} {
		t.Run(scheme, func(t *testing.T) {
			p, pfn := at(t, scheme, addr, map[string]string{"root": "//rucio/root/", "dav": "/rucio/dav/"}[scheme])
			storagetest.Run(t, storagetest.Harness{
				Open:   func(t *testing.T) storage.Storage { return open(t, p, storage.Options{}) },
				PFN:    pfn,
				Hashes: []checksum.Algorithm{checksum.Adler32},
			})
		})
	}
}

// TestXRootDRestart: connections that were idle, and a file that is being read, when the
// server went away.
func TestXRootDRestart(t *testing.T) {
	d := real(t, storagetest.XRootDOptions{})
	for scheme, addr := range map[string]string{"root": d.Root, "dav": d.HTTP} {
		t.Run(scheme, func(t *testing.T) {
			p, pfn := at(t, scheme, addr, map[string]string{"root": "//rucio/root/", "dav": "/rucio/dav/"}[scheme])
			s := open(t, p, storage.Options{})
			defer s.Close()
			data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
			if err := s.Put(t.Context(), pfn("file"), bytes.NewReader(data), int64(len(data))); err != nil {
				t.Fatal(err)
			}
			r, err := s.Get(t.Context(), pfn("file"), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			d.Stop()
			if _, err := io.Copy(io.Discard, r); !errors.Is(err, transfer.ErrTransient) {
				t.Errorf("read on: %v", err)
			}
			if _, err := s.Stat(t.Context(), pfn("file")); !errors.Is(err, transfer.ErrTransient) {
				t.Errorf("stat without a server: %v", err)
			}
			d.Restart()
			if i, err := s.Stat(t.Context(), pfn("file")); err != nil || i.Size != int64(len(data)) {
				t.Errorf("stat after the restart: %+v, %v", i, err)
			}
		})
	}
}

// TestXRootDLogin speaks to a server that wants a login which only its own programs
// know.
func TestXRootDLogin(t *testing.T) {
	d := real(t, storagetest.XRootDOptions{Login: true})
	t.Setenv("XrdSecSSSKT", d.KeyTab)
	t.Setenv("XrdSecPROTOCOL", "sss")
	p, pfn := at(t, "root", d.Root, "//rucio/")
	s := open(t, p, storage.Options{})
	defer s.Close()
	data := bytes.Repeat([]byte("0123456789abcdef"), 100<<10)
	from, to := pfn("a/b/file.rucio.upload"), pfn("a/b/file")
	if err := s.Put(t.Context(), from, bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), from, bytes.NewReader(data), int64(len(data))); !errors.Is(err, transfer.ErrExist) {
		t.Errorf("put again: %v", err)
	}
	sum, err := s.(storage.Hasher).Hash(t.Context(), from, checksum.Adler32)
	if want := adler(data); err != nil || sum != want {
		t.Errorf("hash: %v, %v, want %v", sum, err, want)
	}
	if err := s.Rename(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), to, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
		t.Errorf("get: %d bytes, %v", len(got), err)
	}
	if err := s.Remove(t.Context(), to); err != nil {
		t.Error(err)
	}
	if _, err := s.Stat(t.Context(), to); !errors.Is(err, transfer.ErrNotExist) {
		t.Errorf("stat after all: %v", err)
	}
}

func adler(data []byte) checksum.Sum {
	d := checksum.NewDigest(checksum.Adler32)
	_, _ = d.Write(data) // never fails
	return d.Sum(checksum.Adler32)
}
