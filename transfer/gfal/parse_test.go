package gfal

import (
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/google/go-cmp/cmp"
)

// Printed by gfal2-util 1.8.0 in front of XRootD 5.5.3, by root and by WebDAV.
const (
	realRoot = "-rw-rw-rw-   0 0     0      20000000 2026-11-25 23:41:24.000000 +0000 big-root\t\n" +
		"dr-x------   1 0     0          4096 2026-11-25 23:48:52.000000 +0000 root://127.0.0.1:31094//tmp/data\t\n"
	realHTTP = "-rwxrwxrwx   0 0     0             6 2026-11-25 23:41:26.000000 +0000 small http\t\n" +
		"drwxrwxrwx   0 0     0          4096 1970-01-01 00:00:00.000000 +0000 no2\t\n"
	realCopy = "Copying 20000000 bytes file:///a b => root://127.0.0.1:31094//tmp/data/big\n" +
		"event: [1795650084725] BOTH   xroot\tTRANSFER:ENTER\tfile://localhost///a b => root://127.0.0.1:31094//tmp/data/big\n" +
		"monitor: file://localhost///a b?xrdcl.intent=tpc root://127.0.0.1:31094///tmp/data/big?xrdcl.intent=tpc 0 0 8388608 0\n" +
		"monitor: file://localhost///a b?xrdcl.intent=tpc root://127.0.0.1:31094///tmp/data/big?xrdcl.intent=tpc 0 0 16777216 0\n" +
		"event: [1795650086393] DEST   http_plugin\tCHECKSUM:ENTER\t\n"
)

func TestParseListing(t *testing.T) {
	at := func(s string) time.Time {
		when, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for name, tc := range map[string]struct {
		text string
		want []transfer.Info
		bad  bool
	}{
		"root": {realRoot, []transfer.Info{
			{Path: "big-root", Mode: 0o644, Size: 20000000, ModTime: at("2026-11-25 23:41:24")},
			{Path: "root://127.0.0.1:31094//tmp/data", Mode: fs.ModeDir | 0o755, Size: 4096, ModTime: at("2026-11-25 23:48:52")}}, false},
		"WebDAV": {realHTTP, []transfer.Info{
			{Path: "small http", Mode: 0o644, Size: 6, ModTime: at("2026-11-25 23:41:26")},
			{Path: "no2", Mode: fs.ModeDir | 0o755, Size: 4096, ModTime: at("1970-01-01 00:00:00")}}, false},
		"a newline in a name": {"-rw-r--r--   1 0     0             6 2026-11-25 23:41:26.000000 +0000 a\nb\t\n",
			[]transfer.Info{{Path: "a\nb", Mode: 0o644, Size: 6, ModTime: at("2026-11-25 23:41:26")}}, false},
		"a pipe": {"frw-r--r--   1 0     0             0 2026-11-25 23:41:26.000000 +0000 p\t\n",
			[]transfer.Info{{Path: "p", Mode: fs.ModeNamedPipe, ModTime: at("2026-11-25 23:41:26")}}, false},
		"nothing":         {"", nil, false},
		"cut off":         {realRoot[:60], nil, true},
		"no final line":   {strings.TrimSuffix(realRoot, "\t\n"), nil, true},
		"the local style": {"-rw-------   1 0     0             6 Nov 25 23:41 a\t\n", nil, true},
		"too large":       {"-rw-r--r--   1 0     0  99999999999999999999 2026-11-25 23:41:26.000000 +0000 a\t\n", nil, true},
		"a forged line":   {"-rw-r--r--   1 0     0             6 2026-11-25 23:41:26.000000 +0000 a\t\nb\t\n", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseListing([]byte(tc.text))
			if (err != nil) != tc.bad {
				t.Fatalf("error %v, want one: %v", err, tc.bad)
			}
			if d := cmp.Diff(tc.want, got); d != "" && !tc.bad {
				t.Error(d)
			}
		})
	}
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(realRoot))
	f.Add([]byte(realHTTP))
	f.Fuzz(func(t *testing.T, text []byte) {
		infos, err := parseListing(text)
		for _, i := range infos {
			if err == nil && (i.Path == "" || i.Size < 0) {
				t.Errorf("%+v", i)
			}
		}
	})
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("root://127.0.0.1:31094//tmp/data/big 14f4cb02\n"))
	f.Add([]byte("x f4cb02\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseSum(checksum.Adler32, text); err == nil && len(s.Bare()) != 8 {
			t.Errorf("%q gives %s", text, s)
		}
	})
}

func TestParseSum(t *testing.T) {
	for text, want := range map[string]string{
		"http://se/x 14f4cb02\n": "14f4cb02", "http://se/x 4CB02\n": "0004cb02", "x 0\n": "00000000",
		"": "", "x\n": "", "x 14f4cb0200\n": "", "x y z\n": "", "x hello\n": "",
	} {
		s, err := parseSum(checksum.Adler32, []byte(text))
		if (err != nil) != (want == "") || err == nil && s.Bare() != want {
			t.Errorf("%q: %s, %v; want %q", text, s, err, want)
		}
	}
}

func TestProgress(t *testing.T) {
	for name, r := range map[string]io.Reader{"at once": strings.NewReader(realCopy), "byte by byte": iotest.OneByteReader(strings.NewReader(realCopy))} {
		w := &watch{size: 20000000}
		w.read(r)
		if w.moved.Load() != 16777216 || !w.summing.Load() {
			t.Errorf("%s: %d bytes, summing %v; want 16777216, true", name, w.moved.Load(), w.summing.Load())
		}
	}
}

// FuzzProgress: progress never goes backwards or beyond the size, whatever is printed.
func FuzzProgress(f *testing.F) {
	f.Add(realCopy)
	f.Add("monitor: a b 1 2 99999999999999999999 4\nmonitor: 1 2 3 -5 6\nevent: \t\n")
	f.Fuzz(func(t *testing.T, text string) {
		w := &watch{size: 1 << 20}
		for half := range strings.SplitSeq(text, "m") {
			was := w.moved.Load()
			w.read(strings.NewReader("m" + half))
			if n := w.moved.Load(); n < was || n > w.size {
				t.Errorf("%d after %d", n, was)
			}
		}
	})
}
