package checksum_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/google/go-cmp/cmp"
)

func TestSumsText(t *testing.T) {
	m := manifest(t, entry("a b", "123456789", checksum.Adler32, checksum.XXH3_64), entry("-", "", checksum.Adler32, checksum.XXH3_64),
		entry("c\nd\\e\r", "", checksum.Adler32, checksum.XXH3_64), checksum.Entry{Path: "empty", Dir: true})
	for a, want := range map[checksum.Algorithm]string{
		checksum.Adler32: "00000001  ./-\n091e01de  a b\n\\00000001  c\\nd\\\\e\\r\n",
		checksum.XXH3_64: "XXH3 (./-) = 2d06800538d394c2\nXXH3 (a b) = 72dcb18b67a17dff\n\\XXH3 (c\\nd\\\\e\\r) = 2d06800538d394c2\n",
	} {
		var b bytes.Buffer
		must(t, m.WriteSums(&b, a))
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", a, diff)
		}
		got, err := checksum.ReadSums(&b, a)
		must(t, err)
		for i, e := range got.Entries {
			if w := m.Entries[i]; len(got.Entries) != 3 || e.Path != w.Path || e.Sum(a) != w.Sum(a) || len(e.Sums) != 1 {
				t.Errorf("%s: read %+v, wrote %+v", a, e, w)
			}
		}
	}
	if err := m.WriteSums(new(bytes.Buffer), checksum.MD5); !errors.Is(err, checksum.ErrFormat) {
		t.Errorf("a sum that files do not have: %v", err)
	}
}

func TestReadSums(t *testing.T) {
	const d = "00000001"
	for _, c := range []struct {
		name, text string
		paths      []string
	}{
		{"nothing", "", nil},
		{"text and binary", d + "  a\n" + d + " *b\n", []string{"a", "b"}},
		{"without the last newline", d + "  a", []string{"a"}},
		{"blanks and stars", d + "   a\n" + d + "  *b \n", []string{" a", "*b "}},
		{"carriage return is part of a name", d + "  a\r\n", []string{"a\r"}},
		{"from find", d + "  ./a/b\n", []string{"a/b"}},
		{"comments", "# made by hand\n" + d + "  #a\n", []string{"#a"}},
		{"upper case, leading zeros missing", "ABC  a\n", []string{"a"}},
		{"escaped", `\` + d + `  a\\n\nb` + "\n", []string{"a\\n\nb"}},
		{"a backslash that is not escaped", d + `  a\nb` + "\n", []string{`a\nb`}},
		{"with a tag", "ADLER32 (a) = b) = " + d + "\n", []string{"a) = b"}},
		{"a name like a tag", d + "  x (a) = " + d + "\n", []string{"x (a) = " + d}},
		{"not UTF-8", d + "  \xff\n", []string{"\xff"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := checksum.ReadSums(strings.NewReader(c.text), checksum.Adler32)
			must(t, err)
			var paths []string
			for _, e := range m.Entries {
				paths = append(paths, e.Path)
			}
			if diff := cmp.Diff(c.paths, paths); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, c := range []struct{ name, text string }{
		{"no digest", "a\n"},
		{"one blank", d + " a\n"},
		{"no path", d + "  \n"},
		{"blank line", "\n"},
		{"digest of another length", d + "0  a\n"},
		{"not hexadecimal", "0000000x  a\n"},
		{"upwards", d + "  ../a\n"},
		{"absolute", d + "  /etc/passwd\n"},
		{"NUL", d + "  a\x00\n"},
		{"tag of another algorithm", "CRC32 (a) = " + d + "\n"},
		{"unknown tag", "NIL (a) = " + d + "\n"},
		{"empty tag", "ADLER32 () = " + d + "\n"},
		{"unknown escape", `\` + d + `  a\x` + "\n"},
		{"backslash at the end", `\` + d + `  a\` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := checksum.ReadSums(strings.NewReader(d+"  good\n"+c.text), checksum.Adler32)
			if !errors.Is(err, checksum.ErrFormat) || !strings.Contains(err.Error(), "line 2:") {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
	if _, err := checksum.ReadSums(strings.NewReader(d+"  a\n"+d+"  ./a\n"), checksum.Adler32); !errors.Is(err, checksum.ErrFormat) {
		t.Errorf("a path twice: %v", err)
	}
}

// TestToolsReadSums has the real tools judge what we write, and reads what they write.
func TestToolsReadSums(t *testing.T) {
	plain := func(name string) bool { return !strings.ContainsAny(name, "\\\n\r") }
	for _, c := range []struct {
		tool    string
		args    []string
		a       checksum.Algorithm
		install string
	}{
		{"sha512sum", nil, checksum.SHA512, "coreutils"},
		{"sha256sum", nil, checksum.SHA256, "coreutils"},
		{"md5sum", nil, checksum.MD5, "coreutils"},
		{"xxhsum", []string{"-H128"}, checksum.XXH3_128, "xxhash"},
		{"xxhsum", []string{"-H3"}, checksum.XXH3_64, "xxhash"},
	} {
		t.Run(c.tool+" "+c.a.String(), func(t *testing.T) {
			if _, err := exec.LookPath(c.tool); err != nil {
				t.Skipf("%v; apt-get install %s", err, c.install)
			}
			run := func(dir string, args ...string) (string, error) {
				cmd := exec.CommandContext(t.Context(), c.tool, args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "LC_ALL=C")
				out, err := cmd.Output()
				return string(out), err
			}
			// xxhsum has escapes since 0.8.2, sha512sum that of the carriage return
			// since 9.0. What a tool does with names is what it prints of them.
			escapes := func(name string) bool {
				dir := write(t, file(name, "x"))
				out, err := run(dir, append(c.args, name)...)
				return err == nil && strings.HasPrefix(out, `\`) && strings.Count(out, "\n") == 1 && !strings.Contains(out, "\r")
			}
			var nodes []node
			for _, n := range hostile() {
				if !n.Dir && (plain(n.Path) || escapes(strings.ReplaceAll(n.Path, "/", "_"))) {
					nodes = append(nodes, n)
				}
			}
			dir := write(t, nodes...)
			m, err := checksum.MakeManifest(t.Context(), dir, &checksum.ManifestOptions{Algorithms: []checksum.Algorithm{c.a}})
			must(t, err)
			var text bytes.Buffer
			must(t, m.WriteSums(&text, c.a))
			list := t.TempDir() + "/sums"
			must(t, os.WriteFile(list, text.Bytes(), 0o600))
			out, err := run(dir, "-c", list)
			if n := strings.Count(out, "OK\n"); err != nil || n != len(nodes) {
				t.Errorf("%v; %d of %d are OK:\n%s", err, n, len(nodes), out)
			}

			must(t, os.WriteFile(dir+"/-rf", []byte("damaged"), 0o600))
			if out, err := run(dir, "-c", list); err == nil || strings.Count(out, "OK\n") != len(nodes)-1 {
				t.Errorf("a damaged file: %v\n%s", err, out)
			}

			args := append([]string(nil), c.args...)
			for _, n := range nodes {
				args = append(args, "./"+n.Path)
			}
			out, err = run(dir, args...)
			must(t, err)
			got, err := checksum.ReadSums(strings.NewReader(out), c.a)
			must(t, err)
			if len(got.Entries) != len(nodes) {
				t.Errorf("read %d entries of %d", len(got.Entries), len(nodes))
			}
			for _, e := range m.Entries {
				if g, _ := got.Find(e.Path); (g.Sum(c.a) == e.Sum(c.a)) != (e.Path != "-rf") {
					t.Errorf("%q: the tool says %s, we %s", e.Path, g.Sum(c.a), e.Sum(c.a))
				}
			}
		})
	}
}
