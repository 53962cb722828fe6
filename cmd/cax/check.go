package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/urfave/cli/v2"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "validate the configuration, then probe what it asks for",
		UsageText: "cax check [--offline] [--json]",
		Description: `Reads the configuration, then looks at the run database, this site's directories, and
each site that it pushes to or pulls from: host key, login, directories, space, whether
a file can be made, and whether two sites are one storage. With --offline the
configuration alone is checked. Exit code 2 if the configuration is wrong, 1 if
something that it asks for will not work.

Example:
   cax check --host A`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "offline", Usage: "check the configuration alone; touch no directory, server or database"},
		},
		Action: check,
	}
}

func check(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	offline := c.Bool("offline")
	s, err := session.Open(c, session.Need{Config: true, Site: !offline || c.IsSet("host"), Store: !offline})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	p := &findings{s: s}
	for _, n := range s.Config.Notes {
		p.add(cax.Finding{What: "configuration", Grade: cax.CheckWarn, Text: n.String()})
	}
	address, err := cax.ResolveRunDB(c.String("rundb"), os.Getenv, s.Config)
	if err != nil {
		return command.Usagef("", "%v", err)
	}
	p.add(cax.Finding{What: "configuration", Grade: cax.CheckOK,
		Text: fmt.Sprintf("%s: %d sites; the run database is %s (%s)", s.Config.File, len(s.Config.Sites), address, address.Source)})
	if !offline {
		for f := range s.Env.Check(c.Context) {
			p.add(f)
		}
		if err := c.Context.Err(); err != nil {
			return err
		}
	}
	return p.outcome()
}

// findings prints what is found as it comes: a probe may take long.
type findings struct {
	s      *session.Session
	failed bool
	errs   []error
}

func (p *findings) add(f cax.Finding) {
	p.failed = p.failed || f.Grade == cax.CheckFail
	if p.s.JSON {
		p.errs = append(p.errs, p.s.Print(f))
		return
	}
	colour := map[cax.Grade]table.Colour{cax.CheckOK: table.Green, cax.CheckWarn: table.Yellow, cax.CheckFail: table.Red}[f.Grade]
	text := f.What + ": " + f.Text
	if f.Site != "" {
		text = f.Site + ": " + text
	}
	if f.Remedy != "" {
		text += "; " + f.Remedy
	}
	_, err := fmt.Fprintf(p.s.Stdout, "%s %s\n", table.Paint(fmt.Sprintf("%-7s", f.Grade), colour, p.s.Colour), command.OneLine(text))
	p.errs = append(p.errs, err)
}

// outcome is an error if something will not work, or could not be printed.
func (p *findings) outcome() error {
	if err := errors.Join(p.errs...); err != nil {
		return err
	}
	if p.failed {
		return command.ErrFailed
	}
	return nil
}
