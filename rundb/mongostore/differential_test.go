package mongostore_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
	"github.com/cax-go/cax/rundb/sqlitestore"
)

// TestDifferential: the same operations on MongoDB and on the embedded store give
// the same documents, query results and kinds of errors. Each seed is 600
// operations.
func TestDifferential(t *testing.T) {
	const seeds = 6
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			a := fresh(t)
			file, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "runs.db"), &sqlitestore.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			b := rundb.Driver(file)
			if _, ok := a.(javaLimits); ok {
				a, b = evenNumbers{a}, evenNumbers{b}
			}
			rundbtest.Differential(t, a, b, seed)
		})
	}
}
