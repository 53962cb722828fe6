package storage_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
)

// An upload goes to a temporary name, is verified there, and is renamed.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "rse-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := storage.Open(ctx, storage.Protocol{Scheme: "file", Host: "localhost", Prefix: dir}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	pfn, text := "file://localhost"+dir+"/xnt/4f/1c/events", "some events"

	if err := s.Put(ctx, pfn+".rucio.upload", strings.NewReader(text), int64(len(text))); err != nil {
		log.Fatal(err)
	}
	sum, err := s.(storage.Hasher).Hash(ctx, pfn+".rucio.upload", checksum.Adler32)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Rename(ctx, pfn+".rucio.upload", pfn); err != nil {
		log.Fatal(err)
	}
	r, err := s.Get(ctx, pfn, 5)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	rest, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum, string(rest))
	// Output:
	// adler32:1a14046a events
}
