package main

import (
	"fmt"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func scrubCommand() *cli.Command {
	return &cli.Command{
		Name:      "scrub",
		Usage:     "re-read this site's copies, oldest verified first, and heal what is damaged",
		UsageText: "cax scrub [--run N | --name NAME] [--all] [--rate RATE] [--json]",
		Description: `Reads copies at this site from the disk again: those that were last verified longer ago
than policy.scrub_after, with --all every one, and those that are known to be damaged.
One that is damaged or gone is fetched again from other sites, file by file, and read
once more; what was there is kept beside it. Copies that agree with each other against
the manifest are left as they are: that is for a person to decide.

A scrub that was ended goes on where it was. At the end the share of copies and bytes
that were verified within policy.verified_within is told for each site. Exit code 1 if
a copy is not good. The task Scrub does the same by and by: see policy.scrub.

Example:
   cax scrub --host B --all --rate 100MB/s`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "read copies that were verified lately too"},
			&cli.StringFlag{Name: "rate", Usage: "read no faster than `RATE`, in bytes per second: 100MB/s"},
		},
		Action: scrub,
	}
}

// A scrubbedLine is the outcome for one copy as --json prints it.
type scrubbedLine struct {
	Number   int64            `json:"number"`
	Name     string           `json:"name"`
	Type     rundb.Type       `json:"type"`
	Version  string           `json:"pax_version,omitempty"`
	Host     string           `json:"host"`
	Location string           `json:"location"`
	Result   cax.ScrubOutcome `json:"result"`
	Found    string           `json:"found,omitempty"`
	Error    string           `json:"error,omitempty"`
	Next     string           `json:"next,omitempty"`
}

// A shareLine is the share of one site and type as --json prints it.
type shareLine struct {
	cax.SiteShare
	Share float64 `json:"share"`
	Days  float64 `json:"verified_within_days"`
}

func scrub(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	o := cax.ScrubOptions{All: c.Bool("all")}
	if c.IsSet("rate") {
		if o.Rate, err = cax.ParseRate(c.String("rate")); err != nil || o.Rate <= 0 {
			return command.Usagef(`write it as 50MB/s`, "--rate %q is no number of bytes per second", c.String("rate"))
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
	count := map[cax.ScrubOutcome]int{}
	n := 0
	for done, err := range s.Env.Scrub(c.Context, o) {
		if err != nil {
			return err
		}
		n++
		count[done.Outcome]++
		if err := printScrubbed(s, done); err != nil {
			return err
		}
	}
	if err := printShares(c, s); err != nil {
		return err
	}
	if s.DryRun {
		s.Note("%d copies at %s would be scrubbed", n, s.Site.Name)
		return nil
	}
	s.Note("%d copies at %s scrubbed: %d good, %d healed, %d bad, %d failed, %d busy", n, s.Site.Name,
		count[cax.ScrubGood], count[cax.ScrubHealed], count[cax.ScrubBad], count[cax.ScrubFailed], count[cax.ScrubBusy])
	if count[cax.ScrubBad]+count[cax.ScrubFailed] > 0 {
		return command.ErrFailed
	}
	return nil
}

func printScrubbed(s *session.Session, d cax.Scrubbed) error {
	out := scrubbedLine{Number: d.Run.Number, Name: d.Run.Name, Type: d.Copy.Type, Version: d.Copy.Version, Host: d.Copy.Host,
		Location: d.Copy.Location, Result: d.Outcome, Next: d.Next}
	line := fmt.Sprintf("%s of %s, %s", d.Copy.Key, d.Run, d.Copy.Location)
	if d.Found != nil {
		out.Found = d.Found.Error()
		line += ": found: " + out.Found
	}
	if d.Err != nil {
		out.Error = d.Err.Error()
		line += ": " + out.Error
	}
	if d.Next != "" {
		line += "; " + d.Next
	}
	if s.JSON {
		return s.Print(out)
	}
	_, err := fmt.Fprintf(s.Stdout, "%s: %s\n", d.Outcome, command.OneLine(line))
	return err
}

// printShares prints how much of every site was verified lately.
func printShares(c *cli.Context, s *session.Session) error {
	s.Env.Only = cax.Selection{}
	shares, err := s.Env.VerifiedShare(c.Context)
	if err != nil {
		return err
	}
	days := s.Env.Policy.VerifiedWithin.Hours() / 24
	for _, h := range shares {
		if s.JSON {
			err = s.Print(shareLine{h, h.Share(), days})
		} else {
			_, err = fmt.Fprintf(s.Stdout, "%s %s: %.1f %% verified within %.3g days: %d of %d copies, %s of %s\n", h.Site, h.Type, 100*h.Share(), days,
				h.VerifiedCopies, h.Copies, table.Size(h.VerifiedBytes), table.Size(h.Bytes))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
