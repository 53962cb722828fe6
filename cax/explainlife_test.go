package cax

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestExplainLife: what the tasks that clean up make of a copy is said with the rest,
// in one sentence each.
func TestExplainLife(t *testing.T) {
	days := 30
	for name, tc := range map[string]struct {
		config func(*Config)
		copy   bson.D
		want   []string // task, verb, and words of the sentence or of what is next
		answer string
		next   string
	}{
		"nothing is deleted here": {
			want:   []string{"BufferPurger skip A purges nothing", "cax rm skip 0 good copies in 0 domains elsewhere, 2 copies in 2 domains needed"},
			answer: "it is there and good"},
		"too young": {config: func(c *Config) { c.Sites[0].Purge = &days },
			want: []string{"BufferPurger wait purges after 30"}},
		"too few others": {config: func(c *Config) { c.Sites[0].Purge = new(int) },
			want: []string{"BufferPurger skip 0 good copies in 0 domains elsewhere"}},
		"scrubbing is off": {want: []string{"Scrub skip off"}},
		"verified lately": {config: func(c *Config) { c.Policy.Scrub.BytesPerSecond = 1 },
			want: []string{"Scrub wait verified 0 days ago"}},
		"permissions are due": {config: setsModes, want: []string{"SetPermission do not yet done: mode 2750 for directories"},
			next: "SetPermission of A does it in its next cycle (set permissions: it was not yet done"},
		"permissions are set": {config: setsModes, copy: bson.D{{Key: "permissions", Value: "x"}}, want: []string{"SetPermission skip it was done"}},
		"being deleted": {copy: bson.D{{Key: "status", Value: "purging"}},
			want: []string{"EmptyTrash do has to be finished"}, answer: "a deletion that was begun has to be finished", next: "EmptyTrash of A does it in its next cycle"},
		"under way without a claim": {copy: bson.D{{Key: "status", Value: "transferring"}},
			want: []string{"RetryStalledTransfer wait was begun 0s ago"}, answer: "A is transferring by software that holds no claim"},
		"under way without a claim for long": {copy: bson.D{{Key: "status", Value: "transferring"}, {Key: "creation_time", Value: time.Now().Add(-30 * time.Hour)}},
			want: []string{"RetryStalledTransfer wait freed when its files have not grown for 24h"}},
		"damaged": {copy: bson.D{{Key: "status", Value: "error"}, {Key: "error", Value: (&rundb.CopyError{Class: ClassCorrupt, Text: "it broke", Tries: 1}).BSON()}},
			want: []string{"RetryBadChecksumTransfer do no other one is good, and somebody may have mended it"}, answer: "damaged or gone", next: "(read again)"},
	} {
		t.Run(name, func(t *testing.T) {
			change := tc.config
			if change == nil {
				change = func(*Config) {}
			}
			l := newLab(t, change)
			r := l.register()
			if tc.copy != nil {
				if err := l.store.CompareAndSet(t.Context(), r.ID, l.raw("A"), tc.copy); err != nil {
					t.Fatal(err)
				}
			}
			env := l.env("B") // any site can be asked about any other
			env.remotes.disk = blind{env.remotes.disk}
			xs, err := env.Explain(t.Context(), l.run(), "A")
			if err != nil || len(xs) != 1 {
				t.Fatalf("%v, %+v", err, xs)
			}
			x := xs[0]
			for _, want := range tc.want {
				ok := slices.ContainsFunc(x.Decisions, func(d Decision) bool {
					said := d.Task + " " + string(d.Verb) + " "
					words, is := strings.CutPrefix(want, said)
					return is && strings.Contains(d.Why, words)
				})
				if !ok {
					t.Errorf("nothing says %q: %v", want, x.Decisions)
				}
			}
			if !strings.Contains(x.Answer, tc.answer) || !strings.Contains(x.Next, tc.next) {
				t.Errorf("answer %q, next %q; want %q, %q", x.Answer, x.Next, tc.answer, tc.next)
			}
			for _, d := range x.Decisions {
				if d.Why == "" || d.Key.Host != "A" {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

// blind is a disk that must not be looked at.
type blind struct{ transfer.Backend }

func (blind) Lstat(context.Context, string) (transfer.Info, error) { panic("looked at the disk") }

// TestExplainPusherFrees: where nobody looks after a site, those who push there do.
func TestExplainPusherFrees(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Sites[1].Verify = verifyRemote })
	l.stale(rundb.Transferring, 30*time.Hour)
	xs, err := l.env("A").Explain(t.Context(), l.run(), "B")
	if err != nil || len(xs) != 1 {
		t.Fatalf("%v, %+v", err, xs)
	}
	i := slices.IndexFunc(xs[0].Decisions, func(d Decision) bool { return d.Task == "RetryStalledTransfer" && d.From == "A" })
	if i < 0 || xs[0].Decisions[i].Verb != Wait {
		t.Errorf("%v", xs[0].Decisions)
	}
	if _, err := os.Stat(l.raw("B").Location); err == nil {
		t.Error("explaining made something")
	}
}
