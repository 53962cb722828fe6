package sqlitestore_test

import (
	"path/filepath"
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
	"github.com/cax-go/cax/rundb/sqlitestore"
)

// open opens a new database in a folder of its own.
func open(t testing.TB, o *sqlitestore.Options) *sqlitestore.Driver {
	t.Helper()
	if o == nil {
		o = &sqlitestore.Options{Create: true}
	}
	d, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "runs.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestSuite(t *testing.T) {
	rundbtest.Run(t, func(t *testing.T) rundb.Driver { return open(t, nil) }, rundbtest.Options{})
}
