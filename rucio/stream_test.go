package rucio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func readLines(r io.Reader) (all []string, err error) {
	for l := newLines(r); ; {
		line, err := l.next()
		if err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all = append(all, string(line))
	}
}

func TestLines(t *testing.T) {
	long := `"` + strings.Repeat("x", 300<<10) + `"`
	for _, tt := range []struct {
		name, in string
		want     []string
		err      error
	}{
		{"empty", "", nil, nil},
		{"two", "1\n2\n", []string{"1", "2"}, nil},
		{"blank ones", "\n1\r\n \n", []string{"1"}, nil},
		{"longer than the buffer", long + "\n2\n", []string{long, "2"}, nil},
		{"cut in a line", "1\n{\"a\":", []string{"1"}, errCut},
		{"cut in a number, which is one", "1\n2", []string{"1"}, errCut},
		{"cut in a long line", long, nil, errCut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{"whole": strings.NewReader(tt.in), "by bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
				"end with data": iotest.DataErrReader(strings.NewReader(tt.in))} {
				got, err := readLines(r)
				if d := cmp.Diff(tt.want, got); d != "" || !errors.Is(err, tt.err) {
					t.Errorf("%s: %v %s", name, err, d)
				}
			}
		})
	}
	broken := io.MultiReader(strings.NewReader("1\n2\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, err := readLines(broken); len(got) != 2 || err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"scope\": \"mock\", \"name\": \"a\"}\n{\"rse\":\"A\"}\n"))
	f.Add([]byte("1\n2"))
	f.Add([]byte("\n\r\n[]\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readLines(bytes.NewReader(in))
		again, err2 := readLines(iotest.OneByteReader(bytes.NewReader(in)))
		if !cmp.Equal(got, again) || !errors.Is(err2, err) {
			t.Fatalf("%q, %v is %q, %v by bytes", got, err, again, err2)
		}
		if whole := len(in) == 0 || in[len(in)-1] == '\n'; whole && err != nil {
			t.Fatalf("a whole stream fails: %v", err)
		}
		var want []string // every line is there, none is made up
		for l := range bytes.Lines(in) {
			if s := bytes.TrimSpace(l); len(s) > 0 && l[len(l)-1] == '\n' {
				want = append(want, string(s))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
		for _, l := range got {
			_ = fromPython([]byte(l)) // does not panic
		}
	})
}

// However a stream ends too early, the last pair is an error.
func TestCutStream(t *testing.T) {
	line := `{"rse":"A"}` + "\n"
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter)
		want   error
	}{
		{"whole", func(w http.ResponseWriter) { io.WriteString(w, line+line) }, nil},
		{"connection ends between lines", func(w http.ResponseWriter) { io.WriteString(w, line+line); panic(http.ErrAbortHandler) }, ErrTransient},
		{"connection ends in a line", func(w http.ResponseWriter) { io.WriteString(w, line+line+`{"rs`); panic(http.ErrAbortHandler) }, ErrTransient},
		{"orderly end in a line", func(w http.ResponseWriter) { io.WriteString(w, line+line+`{"rs`) }, ErrTransient},
		{"not JSON", func(w http.ResponseWriter) { io.WriteString(w, line+line+"oops\n") }, ErrUnsupported},
		{"neither length nor chunks", func(w http.ResponseWriter) {
			conn, buf, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s%s", line, line)
			buf.Flush()
			conn.Close()
		}, ErrTransient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html") // nobody looks at it
				if tt.name != "neither length nor chunks" {
					w.(http.Flusher).Flush()
				}
				tt.answer(w)
			})
			rses, err := s.client(t).RSEs(t.Context(), "")
			if !errors.Is(err, tt.want) || (err == nil) != (len(rses) == 2) {
				t.Errorf("got %v, %v", rses, err)
			}
		})
	}
}

// The program may stop in the middle of a stream; the next request finds a usable client.
func TestBreakOffStream(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		for range 10000 {
			if _, err := io.WriteString(w, `{"scope":"s","name":"n"}`+"\n"); err != nil {
				return
			}
		}
	})
	c := s.client(t)
	for range 3 {
		for d, err := range c.Files(t.Context(), DID{"s", "n"}) {
			if err != nil || d.Name != "n" {
				t.Fatal(d, err)
			}
			break
		}
	}
}
