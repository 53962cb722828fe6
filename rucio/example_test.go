package rucio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/cax-go/cax/rucio"
)

// A program logs in as rucio.cfg says ([rucio.Load]) or as it wishes, reads lists as
// they come, and asks for copies. Errors are told apart by their kind.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(catalogue))
	defer server.Close()
	ctx := context.Background()

	client, err := rucio.New(rucio.Config{Host: server.URL, Account: "jdoe", Auth: rucio.Userpass{Username: "jdoe", Password: "secret"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	run := rucio.DID{Scope: "x1t_SR000", Name: "raw"}
	for file, err := range client.Files(ctx, run) {
		if err != nil {
			fmt.Println(err) // the list is incomplete
			return
		}
		fmt.Println(file.Name, file.Bytes, file.Adler32)
	}
	_, err = client.AddRule(ctx, rucio.NewRule{DIDs: []rucio.DID{run}, RSEExpression: "LNGS_USERDISK"})
	switch {
	case errors.Is(err, rucio.ErrExist):
		fmt.Println("there is such a rule")
	case errors.Is(err, rucio.ErrQuota):
		fmt.Println("no space left for us")
	}
	// Output:
	// XENON1T-0-000000000.zip 10 00000001
	// XENON1T-0-000001000.zip 20 1e720467
	// no space left for us
}

// catalogue answers as a server would.
func catalogue(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/auth/userpass":
		w.Header().Set("X-Rucio-Auth-Token", "token")
	case "/dids/x1t_SR000/raw/files":
		fmt.Fprintln(w, `{"scope":"x1t_SR000","name":"XENON1T-0-000000000.zip","bytes":10,"adler32":"00000001"}`)
		fmt.Fprintln(w, `{"scope":"x1t_SR000","name":"XENON1T-0-000001000.zip","bytes":20,"adler32":"1e720467"}`)
	case "/rules/":
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"ExceptionClass":"InsufficientAccountLimit","ExceptionMessage":"There is not enough quota left to fulfil the operation."}`)
	}
}
