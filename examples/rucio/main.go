// Command rucio uploads files as a dataset, lists it and downloads it, as rucio.cfg says.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/cax-go/cax/rucio"
)

func main() {
	if len(os.Args) < 5 {
		log.Fatal("usage: rucio SCOPE:DATASET RSE FOLDER FILE...")
	}
	ctx := context.Background()
	cfg, bad := rucio.Load(&rucio.LoadOptions{Env: os.Getenv})
	client, err := rucio.New(cfg)
	did, wrong := rucio.ParseDID(os.Args[1])
	if err := errors.Join(bad, err, wrong); err != nil {
		log.Fatal(err)
	}
	job := rucio.Upload{Dataset: did, RSE: os.Args[2]}
	for _, path := range os.Args[4:] {
		job.Files = append(job.Files, rucio.UploadFile{Path: path})
	}
	_, err = (&rucio.Uploader{Client: client}).Upload(ctx, job)
	for f, listed := range client.Files(ctx, did) {
		if err = errors.Join(err, listed); listed == nil {
			fmt.Println(f.Name, f.Bytes, f.Adler32)
		}
	}
	_, fetched := (&rucio.Downloader{Client: client}).Download(ctx, rucio.Download{DID: did, Dir: os.Args[3]})
	if err := errors.Join(err, fetched); err != nil {
		log.Fatal(err)
	}
}
