package table_test

import (
	"bytes"
	"testing"

	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	for _, tc := range []struct {
		name   string
		colour bool
		want   string
	}{
		{"plain", false, "" +
			"RUN  STATUS  LOCATION\n" +
			"  1  ä       /a b\n" +
			"200  error   /x\\ny\n"},
		{"colour", true, "" +
			"\x1b[1mRUN\x1b[0m  \x1b[1mSTATUS\x1b[0m  \x1b[1mLOCATION\x1b[0m\n" +
			"  1  ä       /a b\n" +
			"200  \x1b[31merror\x1b[0m   /x\\ny\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tab := table.Table{Header: []string{"RUN", "STATUS", "LOCATION"}}
			tab.Add(table.Cell{Text: "1", Right: true}, table.Cell{Text: "ä"}, table.Cell{Text: "/a b"})
			tab.Add(table.Cell{Text: "200", Right: true}, table.Cell{Text: "error", Colour: table.Red}, table.Cell{Text: "/x\ny"})
			var b bytes.Buffer
			if err := tab.Write(&b, tc.colour); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for _, tc := range []struct {
		name string
		n    int64
		want string
	}{
		{"none", 0, "0 B"},
		{"bytes", 1023, "1023 B"},
		{"kilobytes", 1536, "1.5 KiB"},
		{"no 1024.0", 1<<20 - 1, "1.0 MiB"},
		{"gigabytes", 5 << 30, "5.0 GiB"},
		{"most", 1<<63 - 1, "8.0 EiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := table.Size(tc.n); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
