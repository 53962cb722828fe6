package sqlitestore_test

import (
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestFindWhileChanging: a run that fulfils a query all the time is found all the
// time, although it goes from one signature to another.
func TestFindWhileChanging(t *testing.T) {
	d := open(t, nil)
	s := &rundb.Store{Driver: d}
	c := func(host string) rundb.Copy {
		return rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: host}, Status: rundb.Transferred, Location: "/" + host, Created: time.Unix(1, 0)}
	}
	r := insert(t, s, rundb.Run{Name: "x", Detector: "tpc", Start: time.Unix(1, 0), Data: []rundb.Copy{c("a"), c("b")}})
	done := make(chan error)
	go func() {
		var err error
		for i := 0; i < 400 && err == nil; i++ {
			status := []rundb.Status{rundb.Failed, rundb.Verifying, rundb.Transferred}[i%3]
			err = d.Update(t.Context(), &rundb.Update{Run: r.ID, Change: &rundb.Change{
				Where: rundb.CopyMatch{Hosts: []string{"b"}}, Set: bson.D{{Key: "status", Value: string(status)}}}})
		}
		done <- err
	}()
	q := &rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, Location: "/a"}}}
	for looks := 0; ; looks++ {
		select {
		case err := <-done:
			if err != nil || looks == 0 {
				t.Errorf("after %d looks: %v", looks, err)
			}
			return
		default:
		}
		if _, err := s.One(t.Context(), q); err != nil {
			t.Fatalf("look %d: %v", looks, err)
		}
	}
}
