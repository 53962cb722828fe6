package cax

import (
	"os"
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/gfal"
	"github.com/cax-go/cax/transfer/transfertest"
)

// TestRealGrid: push, pull, verification and deletion with the programs of gfal2-util
// and an XRootD server, by its own protocol and by WebDAV.
func TestRealGrid(t *testing.T) {
	if !transfertest.Long() {
		t.Skip("the programs are Python's: for make integration (CAX_INTEGRATION=1)")
	}
	x := transfertest.StartXRootD(t, transfertest.XRootDOptions{})
	path := os.Getenv("PATH") // before newGrid puts the stand-in there
	for name, address := range map[string]string{"root": x.Root, "http": x.HTTP} {
		t.Run(name, func(t *testing.T) {
			l := newGrid(t, func(cfg *Config) { cfg.Sites[1].Hostname, cfg.Sites[1].NStreams = address, 2 })
			t.Setenv("PATH", path)
			if os.Getenv("GFAL_PYTHONBIN") == "" {
				t.Setenv("GFAL_PYTHONBIN", "/usr/bin/python3") // Debian's, which has the bindings
			}
			b, err := gfal.New(address, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Check(); err != nil {
				transfertest.Missing(t, "xrootd", err.Error(),
					"apt-get install --no-install-recommends gfal2-util-scripts gfal2-plugin-file gfal2-plugin-http gfal2-plugin-xrootd")
			}
			l.register()
			l.must("A")
			l.good()
			if by := l.field("B", "transferred", "read_back_by"); by != "adler32" {
				t.Errorf("compared by %v, want adler32", by)
			}
			if !l.reverify("B") {
				t.Error("the copy is not good")
			}
			l.must("C")
			transfertest.SameTree(t, l.raw("A").Location, l.raw("C").Location)
			k := rundb.Key{Type: rundb.Raw, Host: "B"}
			if err := l.env("B").Remove(t.Context(), l.run().ID, k, Removal{Task: "rm", Why: "test"}); err != nil {
				t.Fatal(err)
			}
			if es, err := os.ReadDir(l.site("B").DirRaw); err != nil || len(es) > 0 {
				t.Errorf("left at B: %v, %v", es, err)
			}
		})
	}
}
