package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/transfertest"
)

// sites makes a source and a target folder, and a job between them.
func sites(t *testing.T, files map[string]string) (job transfer.Job, from, to string) {
	t.Helper()
	from, to = t.TempDir()+"/160315_1432", t.TempDir()+"/160315_1432"
	transfertest.MakeTree(t, from, files)
	m, err := checksum.MakeManifest(t.Context(), from, nil)
	if err != nil {
		t.Fatal(err)
	}
	return transfer.Job{
		Source:   transfer.Location{Backend: local.New(nil), Path: from},
		Target:   transfer.Location{Backend: local.New(nil), Path: to},
		Claim:    "0001",
		Manifest: m,
	}, from, to
}

var some = map[string]string{"a": "alpha", "sub/b": "beta", "empty": "", "hollow/": "", ".dot": "dot", "big": transfertest.Random(1, 3<<20)}

// nothingElse fails if the folder holds anything beside these names.
func nothingElse(t *testing.T, dir string, names ...string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

func TestCopy(t *testing.T) {
	for name, change := range map[string]func(*transfer.Job){
		"with manifest":           func(*transfer.Job) {},
		"without manifest":        func(j *transfer.Job) { j.Manifest = nil },
		"without, against record": func(j *transfer.Job) { j.Legacy, _ = j.Manifest.LegacySum(checksum.SHA512); j.Manifest = nil },
		"read back":               func(j *transfer.Job) { j.ReadBack = true },
	} {
		t.Run(name, func(t *testing.T) {
			j, from, to := sites(t, some)
			want := j.Manifest.Root()
			change(&j)
			asked := false
			j.BeforeCommit = func(context.Context) error {
				asked = true
				if _, err := os.Lstat(to); err == nil {
					t.Error("the final name exists before the commit")
				}
				return nil
			}
			res, err := new(transfer.Copier).Copy(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			transfertest.SameTree(t, from, to)
			nothingElse(t, filepath.Dir(to), "160315_1432")
			if !asked || res.Manifest.Root() != want || res.Sent != res.Bytes || !res.Durable || res.Resumed || res.Adopted {
				t.Errorf("asked %v, result %+v", asked, res)
			}
		})
	}
}

func TestCopySingleFile(t *testing.T) {
	j, from, to := sites(t, some)
	j.Source.Path += "/big"
	j.Manifest = nil
	if _, err := new(transfer.Copier).Copy(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(from + "/big")
	b, err := os.ReadFile(to)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("copy differs (%v)", err)
	}
	nothingElse(t, filepath.Dir(to), "160315_1432")
}

// TestDamagedSource: R2, C9, C20: bytes that are not the manifest's are never
// committed.
func TestDamagedSource(t *testing.T) {
	for name, damage := range map[string]func(from string) error{
		"flipped": func(f string) error { return os.WriteFile(f+"/a", []byte("alphA"), 0o644) },
		"shorter": func(f string) error { return os.WriteFile(f+"/a", []byte("alph"), 0o644) },
		"removed": func(f string) error { return os.Remove(f + "/a") },
		"added":   func(f string) error { return os.WriteFile(f+"/z", nil, 0o644) },
		"swapped": func(f string) error { return os.Rename(f+"/a", f+"/aa") },
		"replaced": func(f string) error {
			return errors.Join(os.Remove(f+"/hollow"), os.WriteFile(f+"/hollow", nil, 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, from, to := sites(t, some)
			if err := damage(from); err != nil {
				t.Fatal(err)
			}
			_, err := new(transfer.Copier).Copy(t.Context(), j)
			if !errors.Is(err, transfer.ErrCorrupt) {
				t.Errorf("error %v, want ErrCorrupt", err)
			}
			if _, err := os.Lstat(to); err == nil {
				t.Error("damaged data were committed")
			}
		})
	}
}

func TestLegacySumDisagrees(t *testing.T) {
	j, from, to := sites(t, some)
	j.Legacy, _ = j.Manifest.LegacySum(checksum.SHA512)
	j.Manifest = nil
	if err := os.WriteFile(from+"/a", []byte("alphA"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, transfer.ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", err)
	}
	if _, err := os.Lstat(to); err == nil {
		t.Error("damaged data were committed")
	}
}

func TestTargetTaken(t *testing.T) {
	t.Run("by the same dataset", func(t *testing.T) {
		j, from, to := sites(t, some)
		transfertest.MakeTree(t, to, some)
		res, err := new(transfer.Copier).Copy(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		if !res.Adopted || res.Sent != 0 {
			t.Errorf("result %+v", res)
		}
		transfertest.SameTree(t, from, to)
		nothingElse(t, filepath.Dir(to), "160315_1432")
	})
	for name, leftover := range map[string]map[string]string{
		"by another dataset":                {"x": "y"},
		"by a leftover: short file":         {"a": "alp"},
		"by a leftover: right sizes, wrong": {"a": "alphA", "sub/b": "beta", "empty": "", "hollow/": "", ".dot": "dot", "big": some["big"]},
	} {
		t.Run(name, func(t *testing.T) {
			j, from, to := sites(t, some)
			transfertest.MakeTree(t, to, leftover)
			var aside string
			j.Aside = func(_, now string) { aside = now }
			if _, err := new(transfer.Copier).Copy(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			transfertest.SameTree(t, from, to)
			if aside == "" {
				t.Fatal("nobody was told")
			}
			if _, err := os.Lstat(aside); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNobodyKnowsWhichIsRight: where nothing vouches for either of two copies, neither
// is moved.
func TestNobodyKnowsWhichIsRight(t *testing.T) {
	j, _, to := sites(t, some)
	j.Manifest = nil
	other := maps.Clone(some)
	other["a"] = "alphA"
	transfertest.MakeTree(t, to, other)
	if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, transfer.ErrExist) {
		t.Errorf("error %v, want ErrExist", err)
	}
	if b, err := os.ReadFile(to + "/a"); string(b) != "alphA" {
		t.Errorf("what stood there is now %q (%v)", b, err)
	}
}

// TestTargetIsRightAndSourceIsNot: what stands at the target and is what the record says
// is adopted, although the source was damaged meanwhile.
func TestTargetIsRightAndSourceIsNot(t *testing.T) {
	j, from, to := sites(t, some)
	j.Legacy, _ = j.Manifest.LegacySum(checksum.SHA512)
	j.Manifest = nil
	transfertest.MakeTree(t, to, some)
	if err := os.WriteFile(from+"/a", []byte("alphA"), 0o644); err != nil {
		t.Fatal(err)
	}
	res, err := new(transfer.Copier).Copy(t.Context(), j)
	if err != nil || !res.Adopted {
		t.Fatalf("%+v, %v", res, err)
	}
	if b, err := os.ReadFile(to + "/a"); string(b) != "alpha" {
		t.Errorf("what stood there is now %q (%v)", b, err)
	}
}

// TestResume: what is finished is not sent again, and a partial file goes on.
func TestResume(t *testing.T) {
	j, from, to := sites(t, some)
	stop := errors.New("stop here")
	j.BeforeCommit = func(context.Context) error { return stop }
	if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, stop) {
		t.Fatalf("error %v", err)
	}
	j.BeforeCommit = nil
	for name, change := range map[string]func(*transfer.Job){
		"same claim": func(*transfer.Job) {},
	} {
		t.Run(name, func(t *testing.T) {
			change(&j)
			res, err := new(transfer.Copier).Copy(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			if res.Sent != 0 || !res.Resumed {
				t.Errorf("sent %d bytes again; result %+v", res.Sent, res)
			}
			transfertest.SameTree(t, from, to)
			nothingElse(t, filepath.Dir(to), "160315_1432")
		})
	}
}

// TestTakeOver: another claim goes on with what a stopped, or a silent, holder
// left; a file that was damaged in staging is sent again.
func TestTakeOver(t *testing.T) {
	for name, take := range map[string]func(*transfer.Job){
		"stopped": func(j *transfer.Job) { j.Continue = []string{"0001"} },
		"silent":  func(j *transfer.Job) { j.Adopt = []string{"0001"} },
	} {
		t.Run(name, func(t *testing.T) {
			j, from, to := sites(t, some)
			stop := errors.New("stop here")
			j.BeforeCommit = func(context.Context) error { return stop }
			if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, stop) {
				t.Fatalf("error %v", err)
			}
			old := filepath.Join(filepath.Dir(to), transfer.StagingName(filepath.Base(to), "0001"), "data")
			zombie, err := os.OpenFile(old+"/big", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer zombie.Close()
			if err := os.WriteFile(old+"/a", []byte("alphA"), 0o644); err != nil {
				t.Fatal(err)
			}
			j.Claim, j.BeforeCommit = "0002", nil
			take(&j)
			res, err := new(transfer.Copier).Copy(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			if res.Sent != int64(len(some["a"])) || !res.Resumed {
				t.Errorf("sent %d bytes, want only the damaged file; result %+v", res.Sent, res)
			}
			if j.Adopt != nil {
				if _, err := zombie.WriteAt([]byte("zombie"), 0); err != nil {
					t.Fatal(err)
				}
			}
			transfertest.SameTree(t, from, to)
			nothingElse(t, filepath.Dir(to), "160315_1432")
		})
	}
}

// TestFence: a holder whose staging was taken can neither write under it by name
// nor commit.
func TestFence(t *testing.T) {
	j, _, to := sites(t, some)
	j.BeforeCommit = func(context.Context) error {
		staging := filepath.Join(filepath.Dir(to), transfer.StagingName(filepath.Base(to), "0001"))
		return os.Rename(staging, staging+"-taken")
	}
	if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, transfer.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
	if _, err := os.Lstat(to); err == nil {
		t.Error("a holder without its staging committed")
	}
}

func TestLinks(t *testing.T) {
	for name, tc := range map[string]struct {
		to string
		ok bool
	}{
		"to a file inside":       {"../a", true},
		"to a file outside":      {"/etc/hostname", false},
		"to a directory inside":  {"../hollow", false},
		"to nowhere":             {"nowhere", false},
		"climbing out and in":    {"../../160315_1432/a", true},
		"to itself":              {"link", false},
		"absolute, to a sibling": {"/", false},
	} {
		t.Run(name, func(t *testing.T) {
			j, from, to := sites(t, some)
			if err := os.Symlink(tc.to, from+"/sub/link"); err != nil {
				t.Fatal(err)
			}
			j.Manifest = nil
			_, err := new(transfer.Copier).Copy(t.Context(), j)
			if tc.ok {
				if err != nil {
					t.Fatal(err)
				}
				transfertest.SameTree(t, from, to)
				if st, err := os.Lstat(to + "/sub/link"); err != nil || !st.Mode().IsRegular() {
					t.Errorf("the link was not copied as a file (%v)", err)
				}
			} else if !errors.Is(err, transfer.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
		})
	}
}

func TestOddNames(t *testing.T) {
	files := map[string]string{}
	for i, n := range transfertest.OddNames() {
		files[n] = n
		if i%3 == 0 && len(n) < 200 {
			files["dir "+n+"/"+n] = "below"
		}
	}
	j, from, to := sites(t, files)
	if _, err := new(transfer.Copier).Copy(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	transfertest.SameTree(t, from, to)
}

func TestStagingName(t *testing.T) {
	for _, base := range []string{"a", strings.Repeat("x", 255), strings.Repeat("é", 120)} {
		n := transfer.StagingName(base, strings.Repeat("f", 32))
		if len(n) > 255 || !strings.HasPrefix(n, ".") || !strings.HasSuffix(n, ".cax-part-"+strings.Repeat("f", 32)) {
			t.Errorf("StagingName(%q) = %q, %d bytes", base, n, len(n))
		}
	}
	if transfer.StagingName(strings.Repeat("x", 254)+"1", "c") == transfer.StagingName(strings.Repeat("x", 254)+"2", "c") {
		t.Error("two long names have one staging name")
	}
}
