package storage_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/rucio/storage/storagetest"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
)

func real(t *testing.T, o storagetest.XRootDOptions) *storagetest.XRootD {
	t.Helper()
	if !transfertest.Long() {
		t.Skip("CAX_INTEGRATION is not 1")
	}
	return storagetest.StartXRootD(t, o)
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
