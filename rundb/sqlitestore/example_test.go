package sqlitestore_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
)

// An embedded run database is one file; a copy of it is made while it is in use.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "runs-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	d, err := sqlitestore.Open(ctx, dir+"/runs.db", &sqlitestore.Options{Create: true})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	store := &rundb.Store{Driver: d, By: "example"}
	for range store.Find(ctx, &rundb.Query{}) {
		fmt.Println("a run")
	}
	if err := d.Backup(ctx, dir+"/backup.db"); err != nil {
		log.Fatal(err)
	}
	_, err = sqlitestore.Open(ctx, dir+"/none.db", nil)
	fmt.Println(err != nil)
	// Output: true
}
