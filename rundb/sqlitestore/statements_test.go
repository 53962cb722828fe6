package sqlitestore_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// fill puts runs into the database that all have verified copies at a and b.
func fill(t testing.TB, d rundb.Driver, n int) {
	t.Helper()
	for i := range n {
		c := func(host string) rundb.Copy {
			return rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: host}, Status: rundb.Transferred,
				Location: fmt.Sprintf("/%s/%d", host, i), Checksum: fmt.Sprintf("%0128d", i), Created: time.Unix(int64(i), 0)}
		}
		r, err := rundb.NewRun(rundb.Run{Number: int64(i), Name: fmt.Sprint(i), Detector: "tpc", Start: time.Unix(int64(i), 0), Data: []rundb.Copy{c("a"), c("b")}})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Insert(t.Context(), r.Raw()); err != nil {
			t.Fatal(err)
		}
	}
}

// idle are the queries of the tasks of a site at which nothing is to be done.
func idle() map[string]*rundb.Query {
	have := rundb.CopyMatch{Types: []rundb.Type{rundb.Raw}, Hosts: []string{"a"}, Statuses: []rundb.Status{rundb.Transferred}, Versions: []string{""}}
	unfinished := rundb.CopyMatch{Types: have.Types, Hosts: []string{"b"}, Statuses: []rundb.Status{rundb.Failed, rundb.Transferring}}
	return map[string]*rundb.Query{
		"push":              {Missing: &rundb.Missing{Have: have, At: "b"}},
		"push, unfinished":  {Copies: []rundb.CopyMatch{have, unfinished}},
		"push, oldest":      {Missing: &rundb.Missing{Have: have, At: "b"}, OldestFirst: true},
		"verify":            {Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, Statuses: []rundb.Status{rundb.Verifying}}}},
		"compare":           {Disagree: &rundb.CopyMatch{Hosts: []string{"a"}}},
		"due":               {Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, Statuses: []rundb.Status{rundb.Failed}, DueBy: time.Now()}}},
		"place is free":     {Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, Location: "/b/new"}}, Limit: 2},
		"place of anything": {Copies: []rundb.CopyMatch{{Location: "/b/new"}}},
	}
}

// TestStatements: what a query that finds nothing, or one run, costs does not
// depend on how many runs there are, and it reads no document that it need not.
func TestStatements(t *testing.T) {
	count := func(n int) map[string][]string {
		var mu sync.Mutex
		var statements []string
		d := open(t, &sqlitestore.Options{Create: true, Trace: func(s string) {
			mu.Lock()
			defer mu.Unlock()
			statements = append(statements, s)
		}})
		fill(t, d, n)
		queries := idle()
		queries["one"] = &rundb.Query{Numbers: []rundb.Range{{From: 7, To: 7}}}
		counts := map[string][]string{}
		for name, q := range queries {
			statements = nil
			found := 0
			for _, err := range d.Find(t.Context(), q) {
				if err != nil {
					t.Fatal(err)
				}
				found++
			}
			if want := map[string]int{"one": 1}[name]; found != want {
				t.Errorf("%s finds %d runs, want %d", name, found, want)
			}
			if len(statements) == 0 {
				t.Errorf("%s: no statement was traced", name)
			}
			counts[name] = statements
		}
		return counts
	}
	few, many := count(30), count(rounds(400, 3000))
	for name, s := range many {
		if len(s) != len(few[name]) {
			t.Errorf("%s: %d statements with many runs, %d with few", name, len(s), len(few[name]))
		}
		if name == "one" {
			continue
		}
		for _, q := range s {
			if strings.Contains(q, "doc") {
				t.Errorf("%s finds nothing, and reads documents: %s", name, q)
			}
		}
	}
}

// TestWriteStatements: neither does what a heartbeat costs.
func TestWriteStatements(t *testing.T) {
	count := func(n int) int {
		statements := 0
		d := open(t, &sqlitestore.Options{Create: true, Trace: func(string) { statements++ }})
		fill(t, d, n)
		s := &rundb.Store{Driver: d}
		r, err := s.One(t.Context(), &rundb.Query{Numbers: []rundb.Range{{From: 3, To: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		statements = 0
		h, err := s.Claim(t.Context(), r.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "c"}, Location: "/c/3"})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Heartbeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.Finish(t.Context(), bson.D{{Key: "status", Value: "verifying"}}); err != nil {
			t.Fatal(err)
		}
		return statements
	}
	if few, many := count(10), count(200); few != many || few == 0 {
		t.Errorf("%d statements with many runs, %d with few", many, few)
	}
}
