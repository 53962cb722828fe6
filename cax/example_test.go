package cax_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
)

// Two sites on one machine: a dataset is registered at one, pushed to the other, and
// verified there.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "cax-example-")
	check(err)
	defer os.RemoveAll(dir)
	check(os.MkdirAll(dir+"/lngs/160315_1432", 0o755))
	check(os.MkdirAll(dir+"/chicago", 0o755))
	check(os.WriteFile(dir+"/lngs/160315_1432/events.zip", []byte("some events"), 0o644))
	cfg := &cax.Config{Sites: []*cax.Site{
		{Name: "lngs", Method: cax.MethodLocal, DirRaw: dir + "/lngs", UploadOptions: []string{"chicago"}},
		{Name: "chicago", Method: cax.MethodLocal, DirRaw: dir + "/chicago"},
	}}
	driver, err := sqlitestore.Open(ctx, dir+"/runs.db", &sqlitestore.Options{Create: true})
	check(err)
	store := &rundb.Store{Driver: driver, By: "example"}
	defer store.Close()

	for i, site := range cfg.Sites {
		owner, err := cax.ThisProcess(site.Name)
		check(err)
		env := cax.NewEnv(cfg, site, store, owner)
		env.Once = true
		if i == 0 {
			_, err := env.Register(ctx, cax.Registration{Path: dir + "/lngs/160315_1432", Number: 1})
			check(err)
		}
		for d, err := range env.Plan(ctx, false) {
			check(err)
			fmt.Printf("%s at %s: %s, because %s\n", d.Task, site.Name, d.What, d.Why)
		}
		_, err = cax.NewDaemon(env).Once(ctx)
		check(err)
		check(env.Close())
	}
	r, err := store.One(ctx, &rundb.Query{Names: []string{"160315_1432"}})
	check(err)
	for _, c := range r.Data {
		fmt.Println(c.Host, c.Status)
	}
	// Output:
	// CopyPush at lngs: copy, because lngs has a good copy and chicago has none
	// AddChecksum at chicago: verify, because the copy is complete and not yet verified
	// lngs transferred
	// chicago transferred
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
