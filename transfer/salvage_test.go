package transfer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
)

// ten is a dataset of ten files.
func ten() map[string]string {
	files := map[string]string{"hollow/": ""}
	for i := range 10 {
		files[fmt.Sprintf("sub/%d.zip", i)] = transfertest.Random(byte(i+1), 50_000+i)
	}
	return files
}

// TestSalvage: what was moved aside from the final name is searched for good files;
// only the others are sent.
func TestSalvage(t *testing.T) {
	flipped := func(s string) string { return "\x00" + s[1:] }
	for name, tc := range map[string]struct {
		damage  func(files map[string]string)
		suspect bool
		sent    []string
	}{
		"a flipped byte":        {func(f map[string]string) { f["sub/3.zip"] = flipped(f["sub/3.zip"]) }, true, []string{"sub/3.zip"}},
		"the same, not known":   {func(f map[string]string) { f["sub/3.zip"] = flipped(f["sub/3.zip"]) }, false, []string{"sub/3.zip"}},
		"a deleted file":        {func(f map[string]string) { delete(f, "sub/7.zip") }, true, []string{"sub/7.zip"}},
		"one too many":          {func(f map[string]string) { f["sub/more"] = "x" }, false, nil},
		"swapped":               {func(f map[string]string) { f["sub/1.zip"], f["sub/2.zip"] = f["sub/2.zip"], f["sub/1.zip"] }, false, []string{"sub/1.zip", "sub/2.zip"}},
		"a folder in its place": {func(f map[string]string) { delete(f, "sub/7.zip"); f["sub/7.zip/x"] = "" }, false, []string{"sub/7.zip"}},
		"C14: a leftover of the old tool": {func(f map[string]string) {
			for _, n := range []string{"sub/5.zip", "sub/6.zip", "sub/7.zip", "sub/8.zip"} {
				delete(f, n)
			}
			f["sub/9.zip"] = f["sub/9.zip"][:20_000]
		}, false, []string{"sub/5.zip", "sub/6.zip", "sub/7.zip", "sub/8.zip", "sub/9.zip"}},
	} {
		t.Run(name, func(t *testing.T) {
			good := ten()
			j, from, to := sites(t, good)
			bad := ten()
			tc.damage(bad)
			transfertest.MakeTree(t, to, bad)
			var aside string
			j.Suspect, j.Aside = tc.suspect, func(_, now string) { aside = now }
			res, err := new(transfer.Copier).Copy(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			var sent int64
			for _, n := range tc.sent {
				sent += int64(len(good[n]))
			}
			if res.Sent != sent || res.Salvaged != res.Bytes-sent {
				t.Errorf("%d bytes sent, %d salvaged; want %d and %d", res.Sent, res.Salvaged, sent, res.Bytes-sent)
			}
			transfertest.SameTree(t, from, to)
			left := t.TempDir() + "/left"
			transfertest.MakeTree(t, left, bad)
			transfertest.SameTree(t, left, aside)
			nothingElse(t, filepath.Dir(to), filepath.Base(aside), "160315_1432")
		})
	}
}

// TestPartial: a dataset of which every copy has lost something is put together
// from several, and never from what the manifest does not name; the damaged copy
// that it replaces stays in its place until then.
func TestPartial(t *testing.T) {
	good := ten()
	whole := t.TempDir() + "/whole"
	transfertest.MakeTree(t, whole, good)
	m, err := checksum.MakeManifest(t.Context(), whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, _, to := sites(t, good)
	second, _, _ := sites(t, good)
	for _, err := range []error{
		os.Remove(first.Source.Path + "/sub/0.zip"),
		os.WriteFile(first.Source.Path+"/sub/1.zip", []byte(transfertest.Random(99, 50_001)), 0o644),
		os.WriteFile(first.Source.Path+"/stranger", nil, 0o644),
		os.Remove(second.Source.Path + "/sub/2.zip"),
		os.Truncate(second.Source.Path+"/sub/3.zip", 5),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	second.Target, second.Claim, second.Continue = first.Target, "0002", []string{"0001"}
	damaged := ten()
	delete(damaged, "sub/0.zip")
	damaged["sub/2.zip"], damaged["sub/9.zip"] = "", transfertest.Random(98, 50_009)
	damaged["sub/1.zip"], damaged["sub/3.zip"] = "x", ""
	transfertest.MakeTree(t, to, damaged)
	aside := 0
	for _, j := range []*transfer.Job{&first, &second} {
		j.Manifest, j.Partial, j.Suspect, j.Aside = m, true, true, func(_, _ string) { aside++ }
	}
	_, err = new(transfer.Copier).Copy(t.Context(), first)
	var differ *checksum.DifferError
	if !errors.Is(err, transfer.ErrCorrupt) || !errors.As(err, &differ) || len(differ.Differences) != 2 {
		t.Fatalf("error %v, want one that names the two files", err)
	}
	left := t.TempDir() + "/left"
	transfertest.MakeTree(t, left, damaged)
	transfertest.SameTree(t, left, to)
	if aside != 0 {
		t.Error("what was there was moved before there was anything better")
	}
	res, err := new(transfer.Copier).Copy(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(good["sub/0.zip"]) + len(good["sub/1.zip"])); res.Sent != want {
		t.Errorf("%d bytes sent, want the %d of two files", res.Sent, want)
	}
	transfertest.SameTree(t, whole, to)
	if es, err := os.ReadDir(filepath.Dir(to)); err != nil || len(es) != 2 || aside != 1 {
		t.Errorf("%v (%v) beside the copy, %d times moved aside; want the damaged copy, once", es, err, aside)
	}

	first.Manifest = nil
	if _, err := new(transfer.Copier).Copy(t.Context(), first); !errors.Is(err, transfer.ErrInvalid) {
		t.Errorf("without a manifest: %v, want ErrInvalid", err)
	}
}
