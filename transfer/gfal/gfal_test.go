package gfal_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/gfal"
	"github.com/cax-go/cax/transfer/gfal/gfaltest"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/transfertest"
)

// standIn is a place that the stand-in serves: this machine.
func standIn(t *testing.T, faults ...string) *gfal.Backend {
	t.Helper()
	b, err := gfal.New("stand://se.example/", &gfal.Options{Dir: gfaltest.Install(t, gfal.Programs()),
		Environ: []string{"PATH=" + os.Getenv("PATH"), gfaltest.Faults + "=" + strings.Join(faults, " ")}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStandIn(t *testing.T) {
	t.Parallel()
	transfertest.Run(t, transfertest.Harness{Open: func(t *testing.T) transfer.Backend { return standIn(t) },
		WholeFiles: true, NoShell: true, PlainNames: true, NoTimes: true, NoLinks: true})
}

// sites are a dataset on this machine and where its copy is to be.
func sites(t *testing.T, b transfer.Backend, push bool) transfer.Job {
	t.Helper()
	files := map[string]string{"a.zip": transfertest.Random(1, 300_000), "sub/b.zip": transfertest.Random(2, 200_000), "empty": "", "hollow/": ""}
	from := filepath.Join(t.TempDir(), "160315_1432")
	transfertest.MakeTree(t, from, files)
	m, err := checksum.MakeManifest(t.Context(), from, nil)
	if err != nil {
		t.Fatal(err)
	}
	j := transfer.Job{Claim: "0001", Manifest: m, ReadBack: push,
		Source: transfer.Location{Backend: local.New(nil), Path: from},
		Target: transfer.Location{Backend: b, Path: filepath.Join(t.TempDir(), "160315_1432")}}
	if !push {
		j.Source.Backend, j.Target.Backend = b, j.Source.Backend
	}
	return j
}

// TestFaults: what goes wrong on the way or at the far side is found, named by its
// kind, and never committed; the next try sends what is missing alone.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault string
		pull  bool
		kind  error
		sent  int64 // by the next try
	}{
		"damaged on the way":           {fault: "garble:b.zip", kind: transfer.ErrTransient, sent: 200_000},
		"damaged on the way here":      {fault: "garble:b.zip", kind: transfer.ErrTransient, pull: true, sent: 200_000},
		"C11: damaged at the far side": {fault: "rot:a.zip", kind: transfer.ErrCorrupt, sent: 300_000},
		"damaged when it is here":      {fault: "rot:a.zip", kind: transfer.ErrCorrupt, pull: true, sent: 300_000},
		"no space":                     {fault: "fail:b.zip:28", kind: transfer.ErrNoSpace, sent: 200_000},
		"over quota":                   {fault: "fail:b.zip:122", kind: transfer.ErrNoSpace, sent: 200_000},
		"not allowed":                  {fault: "fail:b.zip:13", kind: transfer.ErrPermission, sent: 200_000},
		"the server is away":           {fault: "fail:b.zip:112", kind: transfer.ErrTransient, sent: 200_000},
		"a code that nobody knows":     {fault: "fail:b.zip:195", kind: transfer.ErrTransient, sent: 200_000},
		"no plugin":                    {fault: "fail:b.zip:93", kind: transfer.ErrUnsupported, sent: 200_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := sites(t, standIn(t, tc.fault), !tc.pull)
			_, err := new(transfer.Copier).Copy(t.Context(), j)
			if !errors.Is(err, tc.kind) {
				t.Fatalf("error %v, want %v", err, tc.kind)
			}
			if _, err := os.Lstat(j.Target.Path); err == nil {
				t.Error("it was committed")
			}
			again := j
			if tc.pull {
				again.Source.Backend = standIn(t)
			} else {
				again.Target.Backend = standIn(t)
			}
			again.Claim, again.Continue = "0002", []string{"0001"}
			res, err := new(transfer.Copier).Copy(t.Context(), again)
			if err != nil {
				t.Fatal(err)
			}
			// Files that were not reached by the first try may be left, too.
			if res.Sent < tc.sent || res.Sent == res.Bytes && strings.HasPrefix(tc.fault, "rot:") {
				t.Errorf("%d of %d bytes sent, want those of the file that was wrong, %d", res.Sent, res.Bytes, tc.sent)
			}
			transfertest.SameTree(t, j.Source.Path, j.Target.Path)
		})
	}
}

// TestEvidence: the result tells by what the copy was compared at the far side.
func TestEvidence(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		faults []string
		by     checksum.Algorithm
	}{
		"gfal-sum":              {nil, checksum.Adler32},
		"a server without sums": {[]string{"nosum"}, checksum.XXH3_128},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := sites(t, standIn(t, tc.faults...), true)
			res, err := new(transfer.Copier).Copy(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			if !res.ReadBack || res.ReadBackBy != tc.by || res.Durable {
				t.Errorf("read back %v by %s, durable %v; want true by %s, not durable", res.ReadBack, res.ReadBackBy, res.Durable, tc.by)
			}
			transfertest.SameTree(t, j.Source.Path, j.Target.Path)
		})
	}
}

// TestNoSumsRot: a server that knows no sums is read back, so that damage there is found.
func TestNoSumsRot(t *testing.T) {
	t.Parallel()
	j := sites(t, standIn(t, "nosum", "rot:b.zip"), true)
	if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, transfer.ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", err)
	}
}

// TestDamagedSource: a source that is not what the manifest says is named, and does not
// keep the good files from being fetched.
func TestDamagedSource(t *testing.T) {
	t.Parallel()
	j := sites(t, standIn(t), false)
	p := j.Source.Path + "/a.zip"
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	b[5] ^= 1
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	j.Partial = true
	_, err = new(transfer.Copier).Copy(t.Context(), j)
	if !errors.Is(err, transfer.ErrCorrupt) {
		t.Fatalf("error %v, want ErrCorrupt", err)
	}
	staged := filepath.Join(filepath.Dir(j.Target.Path), transfer.StagingName("160315_1432", "0001"), "data")
	if _, err := os.Stat(staged + "/sub/b.zip"); err != nil {
		t.Errorf("the good file was not kept: %v", err)
	}
	if _, err := os.Stat(staged + "/a.zip"); err == nil {
		t.Error("the damaged file was kept")
	}
}

// TestStall, C15: a copy that moves nothing ends after the time for that, whatever the
// total would be, and its process with it.
func TestStall(t *testing.T) {
	t.Parallel()
	b := standIn(t, "stall:a.zip")
	dir := t.TempDir()
	transfertest.MakeTree(t, dir, map[string]string{"a.zip": "0123456789"})
	err := b.Send(t.Context(), dir+"/a.zip", dir+"/b.zip", true, &transfer.Tree{Stall: 200 * time.Millisecond})
	if !errors.Is(err, transfer.ErrStalled) {
		t.Errorf("error %v, want ErrStalled", err)
	}
	// The same by the Copier, which knows nothing of the process.
	j := sites(t, b, true)
	if _, err := (&transfer.Copier{Stall: 300 * time.Millisecond}).Copy(t.Context(), j); !errors.Is(err, transfer.ErrStalled) {
		t.Errorf("error %v, want ErrStalled", err)
	}
}

// TestCommands, C10, C15: paths are arguments of their own, and only exit codes count.
func TestCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(t.TempDir(), "log")
	b, err := gfal.New("srm://se.example:8443/srm/managerv2?SFN=", &gfal.Options{Dir: gfaltest.Install(t, gfal.Programs()),
		Certificate: "/certs/proxy", Streams: 3,
		Environ: []string{"PATH=/bin", "X509_USER_PROXY=/other", "SECRET=hunter2", "LC_ALL=de_DE.UTF-8", gfaltest.Faults + "=log:" + log}})
	if err != nil {
		t.Fatal(err)
	}
	// A name with "error" in it was a failure for the original.
	transfertest.MakeTree(t, dir, map[string]string{"error.zip": "0123456789"})
	if err := b.Send(t.Context(), dir+"/error.zip", dir+"/-copy", true, &transfer.Tree{}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := "gfal-copy -v -f -t 2592000 -T 2592000 -n 3 -K adler32:0aff020e file://" + dir + "/error.zip srm://se.example:8443/srm/managerv2?SFN=" + dir + "/-copy proxy=/certs/proxy\n"
	if !strings.HasSuffix(string(got), want) {
		t.Errorf("the last command is not\n%sin\n%s", want, got)
	}
}

func TestNew(t *testing.T) {
	for _, tc := range []struct {
		address, name string
		bad           bool
	}{
		{"srm://se.example:8443/srm/managerv2?SFN=", "srm://se.example:8443/srm/managerv2?SFN=", false},
		{"davs://se.example/", "davs://se.example", false},
		{"root://se.example//", "root://se.example", false},
		{"lfn:", "lfn:", false},
		{"se.example", "", true},
		{"", "", true},
		{"root://", "", true},
		{"file:///data", "", true},
		{"davs://me:secret@se.example/", "", true},
		{"davs://se.example/a b", "", true},
		{"-rf://se.example/", "-rf://se.example", false}, // it stands behind options, and begins no argument of one letter
	} {
		b, err := gfal.New(tc.address, nil)
		if tc.bad {
			if !errors.Is(err, transfer.ErrInvalid) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: error %v, want ErrInvalid", tc.address, err)
			}
			continue
		}
		if err != nil || b.String() != tc.name {
			t.Errorf("%q: %v, %v; want %q", tc.address, b, err, tc.name)
		}
	}
}

// TestNames: names that plugins take for something else are refused before anything runs.
func TestNames(t *testing.T) {
	b, err := gfal.New("davs://se.example/", &gfal.Options{Dir: "/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"relative", "/a b", "/a?b", "/a#b", "/a%41", "/a\nb", "/ä", "/\xff", "/" + strings.Repeat("x", 251), "/a;b", "/$(x)"} {
		if _, err := b.Lstat(t.Context(), p); !errors.Is(err, transfer.ErrInvalid) {
			t.Errorf("%q: error %v, want ErrInvalid", p, err)
		}
	}
	_, err = b.Lstat(t.Context(), "/data/run_1.zip")
	if !errors.Is(err, transfer.ErrUnsupported) {
		t.Errorf("without the programs: error %v, want ErrUnsupported", err)
	}
	if err := b.Check(); !errors.Is(err, transfer.ErrUnsupported) {
		t.Errorf("Check: error %v, want ErrUnsupported", err)
	}
}

// TestOpenFails: a program that fails in the middle is no end of the file.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf 01234\nexit 5\n"
	if err := os.WriteFile(dir+"/gfal-cat", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := gfal.New("stand://se.example/", &gfal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Open(t.Context(), "/x", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	var exit *gfal.Exit
	if string(got) != "01234" || !errors.Is(err, transfer.ErrTransient) || !errors.As(err, &exit) || exit.Code != int(syscall.EIO) {
		t.Errorf("%q, %v", got, err)
	}
}
