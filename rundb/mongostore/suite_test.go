package mongostore_test

import (
	"os"
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/mongostore"
	"github.com/cax-go/cax/rundb/mongostore/mongotest"
	"github.com/cax-go/cax/rundb/rundbtest"
)

// open opens a database, and makes it if it is new.
func open(t testing.TB, uri string) *mongostore.Driver {
	t.Helper()
	d, err := mongostore.Open(t.Context(), uri, &mongostore.Options{Create: true, Warn: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// fresh opens a new database, with what the Java server cannot do made good.
func fresh(t testing.TB) rundb.Driver {
	t.Helper()
	d := open(t, mongotest.Start(t))
	if os.Getenv("CAX_TEST_MONGODB_URI") != "" {
		return d
	}
	return javaLimits{d}
}

func TestSuite(t *testing.T) {
	rundbtest.Run(t, func(t *testing.T) rundb.Driver { return fresh(t) }, rundbtest.Options{})
}
