package main

import (
	"fmt"
	"strconv"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func processCommand() *cli.Command {
	return &cli.Command{
		Name:      "process",
		Usage:     "process one run now, on this machine, and wait for it",
		UsageText: "cax process --run N [--pax-version V] [--minitrees] [--json]\ncax process NAME IN HOST VERSION HASH OUT [DETECTOR] [NCPU]",
		Description: `Runs the site's processor over this site's raw copy of a run, looks at the product, and
records it as a verified copy: processed data, or with --minitrees the minitrees of the
processed run that are missing. What another process or a job works on is left alone
and is exit code 1, as is a failure. A failure does not keep anybody waiting: a run
that is named is tried at once.

The second form is that of the original's cax-process: name of the run, where its raw
data lie, site, version and hash of the processor, folder for the product, detector,
number of processors.

Example:
   cax process --host A --run 1 --pax-version v6.8.0`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "pax-version", DefaultText: "the only one of pax_versions", Usage: "version `V` to process with"},
			&cli.BoolFlag{Name: "minitrees", Usage: "make the minitrees of the processed run"},
			detectorFlag(),
		},
		Action: processRun,
	}
}

// A processedLine is the outcome for one product as --json prints it.
type processedLine struct {
	Number   int64      `json:"number"`
	Name     string     `json:"name"`
	Type     rundb.Type `json:"type"`
	Version  string     `json:"pax_version"`
	Host     string     `json:"host"`
	Result   string     `json:"result"` // processed; skipped; failed; would process
	Location string     `json:"location,omitempty"`
	Size     int64      `json:"size,omitempty"`
	Why      string     `json:"why,omitempty"`
}

func processRun(c *cli.Context) (err error) {
	o := cax.ProcessOptions{Version: c.String("pax-version"), Minitrees: c.Bool("minitrees"), CPUs: c.Int("ncpu")}
	detector := c.String("detector")
	if c.NArg() > 0 {
		if detector, err = positional(c, &o); err != nil {
			return err
		}
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.OneRun})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	r, err := s.Run(c.Context, detector)
	if err != nil {
		return err
	}
	done, err := s.Env.Process(c.Context, r, o)
	failed := false
	for _, p := range done {
		line := processedLine{r.Number, r.Name, p.Key.Type, p.Key.Version, p.Key.Host, "processed", p.Location, p.Size, p.Skipped}
		switch {
		case p.Err != nil:
			line.Result, line.Why, failed = "failed", p.Err.Error(), true
		case p.Skipped != "":
			line.Result = "skipped"
			failed = failed || p.Location == ""
		case p.Location == "":
			line.Result = "would process"
		}
		if perr := printProcessed(s, r, line); perr != nil {
			return perr
		}
	}
	if err == nil && failed {
		return command.ErrFailed
	}
	return err
}

func printProcessed(s *session.Session, r *rundb.Run, l processedLine) error {
	if s.JSON {
		return s.Print(l)
	}
	text := fmt.Sprintf("%s: %s %s of %s at %s", l.Result, l.Type, l.Version, r, l.Host)
	if l.Location != "" {
		text += fmt.Sprintf(", %s, %s", l.Location, table.Size(l.Size))
	}
	if l.Why != "" {
		text += ": " + l.Why
	}
	_, err := fmt.Fprintln(s.Stdout, command.OneLine(text))
	return err
}

// positional reads the arguments of the original's cax-process.
func positional(c *cli.Context, o *cax.ProcessOptions) (detector string, err error) {
	const form = "NAME IN HOST VERSION HASH OUT [DETECTOR] [NCPU]"
	a := c.Args().Slice()
	if len(a) < 6 || len(a) > 8 {
		return "", command.Usagef("write "+form+", or --run N", "%d arguments", len(a))
	}
	for _, f := range []string{"run", "name", "pax-version"} {
		if c.IsSet(f) {
			return "", command.Usagef("leave it out", "--%s and the arguments %s say it twice", f, form)
		}
	}
	if c.IsSet("host") && c.String("host") != a[2] {
		return "", command.Usagef("give one of them", "--host %s and the site %s", c.String("host"), a[2])
	}
	for flag, value := range map[string]string{"name": a[0], "host": a[2]} {
		if err := c.Set(flag, value); err != nil {
			return "", err
		}
	}
	o.In, o.Version, o.Hash, o.Out = a[1], a[3], a[4], a[5]
	if len(a) > 6 {
		detector = a[6]
	}
	if len(a) > 7 {
		if o.CPUs, err = strconv.Atoi(a[7]); err != nil || o.CPUs < 1 {
			return "", command.Usagef("give a number of 1 or more", "NCPU %q", a[7])
		}
	}
	return detector, nil
}
