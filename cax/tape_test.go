package cax

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/cax-go/cax/tsm/tsmtest"
)

// A tapeLab is a lab whose A uploads to the tape server T, and whose B downloads from
// there.
type tapeLab struct {
	*lab
	tape *tsmtest.Tape
}

var flatFiles = map[string]string{"XENON1T-0.zip": "alpha", "XENON1T-1.zip": transfertest.Random(1, 100_000), "pax_info.json": "{}", "empty": "", "also-empty": ""}

func newTapeLab(t *testing.T, change ...func(*Config)) *tapeLab {
	t.Helper()
	l := &tapeLab{tape: tsmtest.New(t)}
	script := t.TempDir() + "/env.sh"
	var text strings.Builder
	for _, kv := range l.tape.Variables() {
		name, value, _ := strings.Cut(kv, "=")
		text.WriteString("export " + name + "='" + value + "'\n")
	}
	if err := os.WriteFile(script, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	set := func(cfg *Config) {
		conf := TapeConfig{Program: l.tape.Program(), Environment: script}
		for _, s := range cfg.Sites {
			s.Method, s.DataType, s.TSM = MethodTSM, nil, conf
			s.DirProcessed = ""
			s.DirTSM = filepath.Dir(s.DirRaw) + "/tsm"
			if err := os.MkdirAll(s.DirTSM, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cfg.Sites[0].UploadOptions = []string{"T"}
		cfg.Sites[1].DownloadOptions = []string{"T"}
		cfg.Sites = append(cfg.Sites, &Site{Name: "T", Method: MethodTSM})
	}
	l.lab = newLab(t, append([]func(*Config){set}, change...)...)
	return l
}

// add puts a dataset on the disk of A and on record.
func (l *tapeLab) add(name string, number int64, detector string, files map[string]string) *rundb.Run {
	l.t.Helper()
	path := l.site("A").DirRaw + "/" + name
	transfertest.MakeTree(l.t, path, files)
	r, err := l.env("A").Register(l.t.Context(), Registration{Path: path, Name: strings.TrimSuffix(name, "_MV"), Number: number, Detector: detector})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// bare fails the test unless a folder holds nothing.
func (l *tapeLab) bare(dir string) {
	l.t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range es {
		l.t.Errorf("left in %s: %s", dir, e.Name())
	}
}

// onTape are the paths of the archive copies.
func (l *tapeLab) onTape() []string {
	var out []string
	for _, v := range l.tape.Versions(l.t) {
		out = append(out, v.Path)
	}
	slices.Sort(out)
	return out
}

// TestC39UploadDownload: a TPC and a muon-veto run go to tape and come back; nothing is
// left of what was prepared; records are as the original's; a second cycle does nothing.
func TestC39UploadDownload(t *testing.T) {
	for _, tc := range []struct {
		name, dir, detector string
		number              int64
		files               map[string]string
		conf                func(*TapeConfig)
		plain               bool // tape has the files where they lie
	}{
		{name: "tpc", dir: runName, detector: "tpc", number: 5230, files: flatFiles},
		{name: "muon veto", dir: runName + "_MV", detector: "muon_veto", files: flatFiles},
		{name: "sample", dir: runName, detector: "tpc", number: 1, files: flatFiles, conf: func(c *TapeConfig) { c.Verify = tapeSample }},
		{name: "query", dir: runName, detector: "tpc", number: 1, files: flatFiles, conf: func(c *TapeConfig) { c.Verify = tapeQuery }},
		{name: "as it lies", dir: runName, detector: "tpc", number: 1, files: flatFiles, plain: true, conf: func(c *TapeConfig) { c.Rename = wordNo }},
		{name: "sub-folders", dir: runName, detector: "tpc", number: 1, files: someFiles, conf: func(c *TapeConfig) { c.Subfolders = wordYes }},
		{name: "backup", dir: runName, detector: "tpc", number: 1, files: flatFiles, conf: func(c *TapeConfig) { c.Mode = tapeIncr }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTapeLab(t, func(cfg *Config) {
				if tc.conf != nil {
					tc.conf(&cfg.Sites[0].TSM)
				}
			})
			l.add(tc.dir, tc.number, tc.detector, tc.files)
			l.must("A")
			c, a := l.raw("T"), l.raw("A")
			want := l.site("A").DirTSM + "/" + tc.dir
			if tc.plain {
				want = a.Location
			}
			if c.Status != rundb.Transferred || c.Location != want || c.Checksum != a.Checksum || c.VerifiedAt.IsZero() || c.Claim != nil {
				t.Errorf("%+v", c)
			}
			files := 0
			for name := range tc.files {
				if strings.HasSuffix(name, "/") {
					continue
				}
				files++
				dir, base := filepath.Split(name)
				if !tc.plain {
					base = tc.dir + "_" + base
				}
				if !slices.Contains(l.onTape(), want+"/"+dir+base) {
					t.Errorf("%s is not on tape: %q", name, l.onTape())
				}
			}
			if c.Files != int64(files) {
				t.Errorf("%d files", c.Files)
			}
			l.bare(l.site("A").DirTSM)
			calls := len(l.tape.Calls(t))
			if s := l.must("A"); s.Done != 0 || len(l.tape.Calls(t)) != calls {
				t.Errorf("the second cycle did %+v", s)
			}
			if n := len(l.tape.CallsOf(t, "delete archive")); n != 0 {
				t.Errorf("%d deletions", n)
			}

			l.must("B")
			l.good2(tc.dir)
			calls = len(l.tape.Calls(t))
			if s := l.must("B"); s.Done != 0 || len(l.tape.Calls(t)) != calls {
				t.Errorf("the second cycle did %+v", s)
			}
		})
	}
}

// good2 fails the test unless B has the bytes of A, on record and on disk, and nothing
// else.
func (l *tapeLab) good2(dir string) {
	l.t.Helper()
	a, b := l.raw("A"), l.raw("B")
	if b.Status != rundb.Transferred || b.Checksum != a.Checksum || b.Claim != nil || b.Error != nil || b.Location != l.site("B").DirRaw+"/"+dir {
		l.t.Errorf("the record of B is %+v", b)
	}
	transfertest.SameTree(l.t, a.Location, b.Location)
	es, err := os.ReadDir(l.site("B").DirRaw)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range es {
		if e.Name() != dir && e.Name() != recallName {
			l.t.Errorf("left behind at B: %s", e.Name())
		}
	}
}
