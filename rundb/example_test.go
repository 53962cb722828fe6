package rundb_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A run is registered at one site, a copy is claimed and made at another, and
// anybody can find out where it is.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	driver, err := sqlitestore.Open(ctx, filepath.Join(dir, "runs.db"), &sqlitestore.Options{Create: true})
	check(err)
	store := &rundb.Store{Driver: driver, By: "example"}
	defer store.Close()

	run, err := rundb.NewRun(rundb.Run{Name: "160315_1432", Detector: "tpc", Start: time.Date(2016, 3, 15, 14, 32, 0, 0, time.UTC)})
	check(err)
	check(store.Insert(ctx, run))
	check(store.Register(ctx, run.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "lngs"}, Status: rundb.Transferred, Location: "/raw/160315_1432"}))

	to := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "midway"}, Location: "/project/160315_1432"}
	held, err := store.Claim(ctx, run.ID, to)
	check(err)
	_, err = store.Claim(ctx, run.ID, to) // one wins
	fmt.Println("second claim:", err)
	check(held.Heartbeat(ctx)) // every now and then, while the bytes are copied and verified
	check(held.Finish(ctx, bson.D{{Key: "status", Value: string(rundb.Transferred)}}))

	for r, err := range store.Find(ctx, &rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"midway"}}}}) {
		check(err)
		for _, c := range r.Data {
			fmt.Println(r, "is", c.Status, "at", c.Host)
		}
	}
	// Output:
	// second claim: update run 160315_1432, tpc: was changed by somebody else: there is a copy already that must not be there
	// run 160315_1432, tpc is transferred at lngs
	// run 160315_1432, tpc is transferred at midway
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
