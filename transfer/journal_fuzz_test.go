package transfer

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// stored is a backend that holds one file, for the journal's reader.
type stored struct {
	Backend
	text string
}

func (s stored) Open(context.Context, string, int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(s.text)), nil
}

// FuzzJournal: whatever a crash left in a journal, reading it does not fail, what
// counts of it are whole lines from its start, and no mark that is taken says
// more than the file can have.
func FuzzJournal(f *testing.F) {
	f.Add(`{"p":"YQ==","s":5,"m":1458052320000000000,"o":5,"d":true}` + "\n" + `{"p":"YmlnCg==","s":200,"m":7,"o":64}` + "\n" + `{"p":"Ym`)
	f.Add(`{"p":"YQ==","s":5,"m":0,"o":9,"d":true}` + "\n")
	f.Add(`{"p":"YQ==","s":5,"m":0,"o":-1}` + "\n\x00\x00\x00\n")
	f.Add("null\n[]\n{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		j := &journal{said: map[string]mark{}}
		if err := j.read(t.Context(), stored{text: text}, "/journal"); err != nil {
			t.Fatal(err)
		}
		if j.size > int64(len(text)) || j.size > 0 && text[j.size-1] != '\n' {
			t.Errorf("%d bytes count of %q", j.size, text)
		}
		for p, m := range j.said {
			got := j.get(&file{path: p, size: m.Size, mtime: time.Unix(0, m.MTime)})
			if got.Offset < 0 || got.Offset > got.Size || got.Done && got.Offset != got.Size {
				t.Errorf("%q: %+v", p, got)
			}
		}
	})
}

// TestTornJournal: the journal goes on after the last whole line.
func TestTornJournal(t *testing.T) {
	name := t.TempDir() + "/journal"
	whole := `{"p":"YQ==","s":5,"m":0,"o":5,"d":true}` + "\n"
	if err := os.WriteFile(name, []byte(whole+`{"p":"Yg==","s"`), 0o644); err != nil {
		t.Fatal(err)
	}
	b := &disk{}
	j, err := openJournal(t.Context(), b, name)
	if err != nil {
		t.Fatal(err)
	}
	j.done(&file{path: "c", size: 3, mtime: time.Unix(0, 0)})
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if want := whole + `{"p":"Yw==","s":3,"m":0,"o":3,"d":true}` + "\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

// disk is as much of a local backend as a journal needs: package local cannot be
// imported from here.
type disk struct{ Backend }

func (*disk) Open(_ context.Context, p string, _ int64) (io.ReadCloser, error) { return os.Open(p) }

func (*disk) Create(_ context.Context, p string, offset, _ int64, _ time.Time) (io.WriteCloser, error) {
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return onDisk{f}, f.Truncate(offset)
}

type onDisk struct{ *os.File }

func (f onDisk) Sync(context.Context) (bool, error) { return true, f.File.Sync() }
