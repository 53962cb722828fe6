package mongostore_test

import (
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/mongostore"
	"github.com/cax-go/cax/rundb/mongostore/mongotest"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestIndexes: they are made where they are missing, once.
func TestIndexes(t *testing.T) {
	uri := mongotest.Start(t)
	made := func() map[string]int {
		n := map[string]int{}
		d, err := mongostore.Open(t.Context(), uri, &mongostore.Options{Create: true, Warn: func(err error) { t.Error(err) },
			Trace: func(cmd bson.Raw) {
				if coll, ok := cmd.Lookup("createIndexes").StringValueOK(); ok {
					n[coll]++
				}
			}})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		return n
	}
	if diff := cmp.Diff(map[string]int{mongostore.DefaultCollection: 12, string(rundb.Events): 2, string(rundb.Manifests): 2}, made()); diff != "" {
		t.Errorf("indexes made in a new database (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{}, made()); diff != "" {
		t.Errorf("indexes made again (-want +got):\n%s", diff)
	}
}
