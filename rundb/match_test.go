package rundb_test

import (
	"errors"
	"io"
	"testing"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestStrings(t *testing.T) {
	run := func(r rundb.Run) string { return r.String() }
	for _, c := range []struct{ want, got string }{
		{"run 5 (x, tpc)", run(rundb.Run{Number: 5, Name: "x", Detector: "tpc"})},
		{"run 5", run(rundb.Run{Number: 5})},
		{"run x, muon_veto", run(rundb.Run{Name: "x", Detector: "muon_veto"})},
		{"run with id " + runID.Hex(), run(rundb.Run{ID: runID})},
		{"raw at a", rundb.Key{Type: rundb.Raw, Host: "a"}.String()},
		{"processed v1 at a", rundb.Key{Type: rundb.Processed, Version: "v1", Host: "a"}.String()},
		{"runs", (&rundb.Query{}).String()},
		{"run 5", (&rundb.Query{Numbers: []rundb.Range{{From: 5, To: 5}}}).String()},
		{"runs 5 to 7, run from 9, run x", (&rundb.Query{Numbers: []rundb.Range{{From: 5, To: 7}, {From: 9, To: -1}}, Names: []string{"x"}}).String()},
		{"run x, tpc", (&rundb.Query{Names: []string{"x"}, Detectors: []string{"tpc"}}).String()},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestError(t *testing.T) {
	e := &rundb.Error{Op: "find", What: "run 5", Kind: rundb.ErrTransient, Err: io.ErrUnexpectedEOF}
	if !errors.Is(e, rundb.ErrTransient) || !errors.Is(e, io.ErrUnexpectedEOF) || errors.Is(e, rundb.ErrExist) {
		t.Error("kind and cause are not found")
	}
	if got, want := e.Error(), "find run 5: is temporarily not available: unexpected EOF"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (&rundb.Error{Op: "x"}).Error(); got != "x" || errors.Is(&rundb.Error{}, rundb.ErrExist) {
		t.Errorf("got %q", got)
	}
}

// TestUpdateCheck: what the conformance suite does not ask of drivers.
func TestUpdateCheck(t *testing.T) {
	push := &rundb.Copy{}
	for name, u := range map[string]*rundb.Update{
		"push":        {Push: push},
		"pull":        {Pull: &rundb.Pull{}},
		"server time": {Change: &rundb.Change{ServerTime: "x"}},
	} {
		if err := u.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, u := range map[string]*rundb.Update{
		"push and pull":            {Push: push, Pull: &rundb.Pull{}},
		"server time in the key":   {Change: &rundb.Change{ServerTime: "host"}},
		"server time within a set": {Change: &rundb.Change{ServerTime: "claim.heartbeat", Set: fields("claim")}},
		"version":                  {Change: &rundb.Change{Set: fields("pax_version")}},
		"twice":                    {Set: fields("a", "b", "a")},
		"beneath":                  {Set: fields("a.b", "a")},
		"zero byte":                {Set: fields("a\x00b")},
		"history":                  {Pull: &rundb.Pull{History: fields("")}},
	} {
		if err := u.Check(); !errors.Is(err, rundb.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&rundb.Update{Set: fields("a.b", "ab", "a.c")}).Check(); err != nil {
		t.Errorf("names that only begin alike: %v", err)
	}
}

func fields(names ...string) (d bson.D) {
	for _, n := range names {
		d = append(d, bson.E{Key: n, Value: 1})
	}
	return d
}
