package ssh

import (
	"bytes"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// FuzzFind: the listing that find prints is read as what it is, or refused.
func FuzzFind(f *testing.F) {
	f.Add([]byte("f\x005\x001458052320.1234567890\x00644\x00sub/new\nline\x00\x00"))
	f.Add([]byte("d\x004096\x001458052320\x00755\x00sub\x00\x00l\x007\x001458052320.5\x00777\x00link\x00../a b\x00"))
	f.Add([]byte("p\x000\x00-1.5\x00600\x00pipe\x00\x00cut of"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		infos, err := parseFind(b)
		if err != nil {
			return
		}
		if n := bytes.Count(b, []byte{0}); n != 6*len(infos) {
			t.Errorf("%d records of %d fields", len(infos), n)
		}
		for _, i := range infos {
			if i.Mode&fs.ModeType&^(fs.ModeDir|fs.ModeSymlink|fs.ModeIrregular) != 0 || strings.IndexByte(i.Path, 0) >= 0 {
				t.Errorf("%+v", i)
			}
		}
	})
}

func TestParseFind(t *testing.T) {
	infos, err := parseFind([]byte("f\x005\x001458052320.1234567890\x00644\x00new\nline\x00\x00l\x003\x001\x00777\x00l\x00to\x00"))
	if err != nil || len(infos) != 2 {
		t.Fatalf("%+v, %v", infos, err)
	}
	if i := infos[0]; i.Path != "new\nline" || i.Size != 5 || i.Mode != 0o644 || !i.ModTime.Equal(time.Unix(1458052320, 123456789)) {
		t.Errorf("%+v", i)
	}
	if i := infos[1]; i.Link != "to" || i.Mode&fs.ModeSymlink == 0 {
		t.Errorf("%+v", i)
	}
	for _, bad := range []string{"f\x00", "f\x00x\x001\x00644\x00a\x00\x00", "f\x001\x00y\x00644\x00a\x00\x00", "f\x001\x001.z\x00644\x00a\x00\x00", "f\x001\x001\x009\x00a\x00\x00"} {
		if infos, err := parseFind([]byte(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, infos)
		}
	}
}

// FuzzQuote: what is quoted reaches a program of a POSIX shell as it is.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "'", "''", "a b", "-n", "$(id)`id`", "new\nline", "\\", "\xff\xfe", "'\\''", "\r\x01~*?[!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.IndexByte(s, 0) >= 0 {
			return
		}
		// A batch of variations in one shell.
		all := []string{s, s + "'", "'" + s, s + s, s + "\n"}
		script := "printf '%s\\0'"
		for _, a := range all {
			script += " " + Quote(a)
		}
		cmd := exec.Command("sh")
		cmd.Stdin = strings.NewReader(script + "\n")
		out, err := cmd.Output()
		if want := strings.Join(all, "\x00") + "\x00"; err != nil || string(out) != want {
			t.Errorf("%q became %q (%v)", want, out, err)
		}
	})
}
