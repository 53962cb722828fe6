package mongostore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cax-go/cax/rundb/rundbtest"
	"github.com/cax-go/cax/rundb/sqlitestore"
)

// TestDifferential: the same operations on MongoDB and on the embedded store give
// the same documents, query results and kinds of errors. Each seed is some
// hundred operations.
func TestDifferential(t *testing.T) {
	seeds := 4
	if os.Getenv("CAX_INTEGRATION") != "" {
		seeds = 12
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			a := fresh(t)
			b, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "runs.db"), &sqlitestore.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			rundbtest.Differential(t, a, b, seed)
		})
	}
}
