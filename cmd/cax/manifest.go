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
		UsageText: "cax manifest --run N [--format json|sha512sum|xxhsum]\ncax manifest --save [--run N | --name NAME]",
		Description: `Prints the stored manifest of one dataset: JSON lines, or text that the tools of that
name check (run them inside a copy).

With --save it is written beside each transferred copy of this site, or of the runs that
are named, as .NAME.cax-manifest.json, together with what is known of the run. If the
run database is ever lost, cax reconcile --adopt makes the records again from these
files.

Example:
   cd /data/raw/160315_1432 && cax manifest --run 1 --format sha512sum | sha512sum -c`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "save", Usage: "write manifests beside this site's copies"},
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
	if err := command.NoArguments(c); err != nil {
		return err
	}
	if err := session.OneOf(c, "format", "json", "sha512sum", "xxhsum"); err != nil {
		return err
	}
	if c.Bool("save") {
		return saveManifests(c)
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

// A savedManifest is what --save --json prints of one copy.
type savedManifest struct {
	Number  int64      `json:"number"`
	Name    string     `json:"name"`
	Type    rundb.Type `json:"type"`
	Version string     `json:"pax_version,omitempty"`
	File    string     `json:"file,omitempty"`
	Result  string     `json:"result"` // saved; unchanged; would save; failed
	Error   string     `json:"error,omitempty"`
}

func saveManifests(c *cli.Context) (err error) {
	for _, f := range []string{"format", "type", "pax-version", "detector"} {
		if c.IsSet(f) {
			return command.Usagef("leave it out", "--save writes all manifests of a run, and takes no --%s", f)
		}
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	q := s.Query()
	q.Copies = []rundb.CopyMatch{{Hosts: []string{s.Site.Name}, Statuses: []rundb.Status{rundb.Transferred}}}
	failed := false
	for r, err := range s.Store.Find(c.Context, &q) {
		if err != nil {
			command.Report(s.Stderr, c.App.Name, err)
			failed = true
			continue
		}
		for copied := range r.Copies(q.Copies[0]) {
			if copied.InPlace {
				continue
			}
			file, written, err := s.Env.SaveManifest(c.Context, r, &copied)
			if c.Context.Err() != nil {
				return c.Context.Err()
			}
			out := savedManifest{Number: r.Number, Name: r.Name, Type: copied.Type, Version: copied.Version, File: file, Result: "unchanged"}
			line := fmt.Sprintf("%s %s, %s", r, copied.Key, file)
			switch {
			case err != nil:
				failed = true
				out.Result, out.Error = "failed", err.Error()
				line = fmt.Sprintf("%s %s, %v", r, copied.Key, err)
			case written && s.DryRun:
				out.Result = "would save"
			case written:
				out.Result = "saved"
			}
			if s.JSON {
				err = s.Print(out)
			} else {
				_, err = fmt.Fprintf(s.Stdout, "%s: %s\n", out.Result, command.OneLine(line))
			}
			if err != nil {
				return err
			}
		}
	}
	if failed {
		return command.ErrFailed
	}
	return nil
}
