package gfal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/gfal"
	"github.com/cax-go/cax/transfer/transfertest"
)

// real is a place that the real programs reach. The test is skipped where they are not
// installed, or fails if CAX_REQUIRE names xrootd.
func real(t *testing.T, address string, o gfal.Options) *gfal.Backend {
	t.Helper()
	const install = "apt-get install --no-install-recommends gfal2-util-scripts gfal2-plugin-file gfal2-plugin-http gfal2-plugin-xrootd"
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if os.Getenv("GFAL_PYTHONBIN") == "" {
		// Debian's, whatever python3 on the PATH is.
		o.Environ = append(slices.Clone(o.Environ), "GFAL_PYTHONBIN=/usr/bin/python3")
	}
	b, err := gfal.New(address, &o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err != nil {
		transfertest.Missing(t, "xrootd", err.Error(), install)
	}
	return b
}

// ways are the addresses of a server, by protocol.
func ways(t *testing.T, o transfertest.XRootDOptions) map[string]string {
	t.Helper()
	if !transfertest.Long() {
		t.Skip("the programs are Python's: for make integration (CAX_INTEGRATION=1)")
	}
	x := transfertest.StartXRootD(t, o)
	return map[string]string{"root": x.Root, "http": x.HTTP}
}

// TestReal: the suite, with the real programs and a real server.
func TestReal(t *testing.T) {
	t.Parallel()
	for name, address := range ways(t, transfertest.XRootDOptions{}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transfertest.Run(t, transfertest.Harness{Open: func(t *testing.T) transfer.Backend { return real(t, address, gfal.Options{}) },
				WholeFiles: true, NoShell: true, PlainNames: true, NoTimes: true, NoLinks: true, OldSums: true})
		})
	}
}

// TestRealNoSums: a server without checksums is copied to all the same, and read back.
func TestRealNoSums(t *testing.T) {
	t.Parallel()
	for name, address := range ways(t, transfertest.XRootDOptions{NoSums: true}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := real(t, address, gfal.Options{Streams: 2})
			for _, push := range []bool{true, false} {
				j := sites(t, b, push)
				res, err := new(transfer.Copier).Copy(t.Context(), j)
				if err != nil {
					t.Fatal(err)
				}
				if push && res.ReadBackBy != checksum.XXH3_128 {
					t.Errorf("read back by %s, want by reading", res.ReadBackBy)
				}
				transfertest.SameTree(t, j.Source.Path, j.Target.Path)
			}
		})
	}
}

// TestRealDamage: what was damaged at the server is found by gfal-sum.
func TestRealDamage(t *testing.T) {
	t.Parallel()
	for name, address := range ways(t, transfertest.XRootDOptions{}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := real(t, address, gfal.Options{})
			j := sites(t, b, true)
			res, err := new(transfer.Copier).Copy(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			if res.ReadBackBy != checksum.Adler32 {
				t.Errorf("read back by %s, want adler32", res.ReadBackBy)
			}
			verify := func() []checksum.Difference {
				v, err := new(transfer.Copier).Verify(t.Context(), j.Target, j.Manifest, nil)
				if err != nil {
					t.Fatal(err)
				}
				return v.Differences
			}
			if d := verify(); len(d) > 0 {
				t.Errorf("a good copy differs: %v", d)
			}
			p := j.Target.Path + "/a.zip"
			text, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			text[100_000] ^= 1
			if err := os.WriteFile(p, text, 0o644); err != nil {
				t.Fatal(err)
			}
			// The server keeps sums with the time that the file had then.
			when := time.Now().Add(-time.Hour)
			if err := os.Chtimes(p, when, when); err != nil {
				t.Fatal(err)
			}
			if d := verify(); len(d) != 1 || d[0].Path != "a.zip" || d[0].Kind != checksum.DigestDiffers {
				t.Errorf("differences %v, want one of a.zip", d)
			}
			// And it is not fetched.
			back := transfer.Job{Source: j.Target, Target: transfer.Location{Backend: j.Source.Backend, Path: filepath.Join(t.TempDir(), "back")},
				Claim: "0002", Manifest: j.Manifest}
			if _, err := new(transfer.Copier).Copy(t.Context(), back); !errors.Is(err, transfer.ErrCorrupt) {
				t.Errorf("error %v, want ErrCorrupt", err)
			}
		})
	}
}

// TestRealCancelled: the end of the context ends the program, and what it left is sent
// again.
func TestRealCancelled(t *testing.T) {
	t.Parallel()
	for name, address := range ways(t, transfertest.XRootDOptions{}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := real(t, address, gfal.Options{})
			dir := t.TempDir()
			transfertest.MakeTree(t, dir+"/run", map[string]string{"big": transfertest.Random(9, 32<<20), "small": "small"})
			m, err := checksum.MakeManifest(t.Context(), dir+"/run", nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			tree := &transfer.Tree{Manifest: m, Stall: time.Minute, Progress: func(int64) { cancel() }}
			if err := b.Mkdir(t.Context(), dir+"/copy"); err != nil {
				t.Fatal(err)
			}
			if err := b.Send(ctx, dir+"/run", dir+"/copy", false, tree); !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v, want canceled", err)
			}
			if p := running(t, dir); p != "" {
				t.Errorf("left running: %s", p)
			}
			tree.Progress = nil
			if err := b.Send(t.Context(), dir+"/run", dir+"/copy", false, tree); err != nil {
				t.Fatal(err)
			}
			transfertest.SameTree(t, dir+"/run", dir+"/copy")
		})
	}
}

// running gives the command of a process, beside ourselves, that has a text in its
// arguments; "" if there is none.
func running(t *testing.T, text string) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil && strings.Contains(string(line), text) {
			return strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return ""
}

// TestRealAway: a server that is not there is a transient failure, and no long one.
func TestRealAway(t *testing.T) {
	t.Parallel()
	if !transfertest.Long() {
		t.Skip("the programs are Python's: for make integration (CAX_INTEGRATION=1)")
	}
	x := transfertest.StartXRootD(t, transfertest.XRootDOptions{})
	x.Stop()
	for _, address := range []string{x.Root, x.HTTP} {
		if _, err := real(t, address, gfal.Options{}).Lstat(t.Context(), "/tmp"); !errors.Is(err, transfer.ErrTransient) {
			t.Errorf("%s: error %v, want ErrTransient", address, err)
		}
	}
	if _, err := real(t, "srm://127.0.0.1:8443/srm/managerv2?SFN=", gfal.Options{}).Lstat(t.Context(), "/tmp"); !errors.Is(err, transfer.ErrUnsupported) {
		t.Errorf("without the plugin: error %v, want ErrUnsupported", err)
	}
}
