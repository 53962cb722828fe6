package main

import (
	"errors"
	"fmt"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func manifestCommand() *cli.Command {
	return &cli.Command{
		Name:      "manifest",
		Usage:     "print what files a run has, with their checksums",
		UsageText: "cax manifest --run N [--format json|sha512sum|xxhsum]",
		Description: `Prints the stored manifest of one dataset: JSON lines, or text that the tools of that
name check (run them inside a copy).

Example:
   cd /data/raw/160315_1432 && cax manifest --run 1 --format sha512sum | sha512sum -c`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "json", Usage: "`FORMAT` of the output: json, sha512sum or xxhsum"},
			&cli.StringFlag{Name: "type", Value: string(rundb.Raw), Usage: "`TYPE` of the data"},
			&cli.StringFlag{Name: "pax-version", Usage: "version `V` of processed data"},
			detectorFlag(),
		},
		Action: manifest,
	}
}

// detectorFlag tells runs of one number apart.
func detectorFlag() cli.Flag {
	return &cli.StringFlag{Name: "detector", Usage: "`DETECTOR` of the run, where several have its number"}
}

func manifest(c *cli.Context) (err error) {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := session.OneOf(c, "format", "json", "sha512sum", "xxhsum"); err != nil {
		return err
	}
	if c.Bool("json") && c.String("format") != "json" {
		return command.Usagef("give one of them", "--json and --format %s both choose a format", c.String("format"))
	}
	s, err := session.Open(c, session.Need{Store: true, Runs: session.OneRun})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	r, err := s.Run(c.Context, c.String("detector"))
	if err != nil {
		return err
	}
	k := rundb.ManifestKey{Run: r.ID, Type: rundb.Type(c.String("type")), Version: c.String("pax-version")}
	m, err := s.Store.Manifest(c.Context, k)
	if errors.Is(err, rundb.ErrNotExist) {
		return fmt.Errorf("%s has no manifest for %s %s; cax verify --repair-manifest makes one from a good copy", r, k.Type, k.Version)
	}
	if err != nil {
		return err
	}
	switch c.String("format") {
	case "sha512sum":
		return m.WriteSums(s.Stdout, checksum.SHA512)
	case "xxhsum":
		return m.WriteSums(s.Stdout, checksum.XXH3_128)
	}
	return m.WriteJSON(s.Stdout)
}
