package storagetest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/cax-go/cax/rucio/storage/storagetest"
)

// A WebDAV server that fails once.
func Example() {
	failed := false
	web := &storagetest.Web{Before: func(w http.ResponseWriter, _ *http.Request) bool {
		if failed {
			return false
		}
		failed = true
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}}
	srv := httptest.NewServer(web)
	defer srv.Close()
	web.Store("/rucio/file", []byte("data"))
	for range 2 {
		resp, err := http.Get(srv.URL + "/rucio/file")
		if err != nil {
			fmt.Println(err)
			return
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, body.String(), err)
	}
	// Output:
	// 503  <nil>
	// 200 data <nil>
}
