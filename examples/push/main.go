// Command push copies one dataset to a server and proves that the copy is good,
// without any run database: the packages checksum and transfer alone.
//
//	push -identity ~/.ssh/id_ed25519 /data/raw/160315_1432 cax@server /data/raw/160315_1432
//
// The server's host key has to be in ~/.ssh/known_hosts. An interrupted push
// goes on where it was when it is started again.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/sftp"
	"github.com/cax-go/cax/transfer/ssh"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	identity := flag.String("identity", "", "private key; default: the agent and those of ~/.ssh")
	port := flag.Int("port", 0, "port of the server; default: 22")
	flag.Parse()
	if flag.NArg() != 3 {
		log.Fatal("usage: push [-identity FILE] [-port N] PATH USER@HOST TARGET")
	}
	if err := push(ctx, *identity, *port, flag.Arg(0), flag.Arg(1), flag.Arg(2)); err != nil {
		log.Fatal(err)
	}
}

func push(ctx context.Context, identity string, port int, path, server, target string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	m, err := checksum.MakeManifest(ctx, path, nil)
	if err != nil {
		return err
	}

	cfg := ssh.FromEnvironment()
	cfg.Port = port
	cfg.User, cfg.Host, _ = strings.Cut(server, "@")
	if identity != "" {
		cfg.IdentityFiles = []string{identity}
	}
	pool, err := ssh.New(cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	remote := sftp.New(pool, nil)
	defer remote.Close()

	var copier transfer.Copier
	res, err := copier.Copy(ctx, transfer.Job{
		Source:   transfer.Location{Backend: local.New(nil), Path: path},
		Target:   transfer.Location{Backend: remote, Path: target},
		Claim:    "push-example", // the same at the next start, so that it resumes
		Manifest: m,
		ReadBack: true, // nobody else will verify it
	})
	if err != nil {
		return err
	}
	sum, err := res.Manifest.LegacySum(checksum.SHA512)
	if err != nil {
		return err
	}
	fmt.Printf("%d files, %d bytes (%d sent now), %s\n", res.Files, res.Bytes, res.Sent, sum)
	return nil
}
