package mongostore_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/mongostore"
)

// A user without a password is refused before anything is sent.
func Example() {
	ctx := context.Background()
	d, err := mongostore.Open(ctx, "mongodb://cax@db.example/run?replicaSet=runs&tls=true", &mongostore.Options{
		Password: func(context.Context) (string, error) { return "", nil },
		Warn:     func(err error) { fmt.Fprintln(os.Stderr, err) },
	})
	if err != nil {
		fmt.Println(errors.Is(err, rundb.ErrInvalid))
		fmt.Println(err)
		return
	}
	defer d.Close()
	store := &rundb.Store{Driver: d, By: "example"}
	for run, err := range store.Find(ctx, &rundb.Query{Detectors: []string{"tpc"}, Limit: 10}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(run)
	}
	// Output:
	// true
	// open run database mongodb://cax@db.example/run: is invalid: there is no password for user "cax": set MONGODB_PASSWORD or MONGO_PASSWORD, or leave the user out of the address if the server asks for none
}
