package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     `answer "why is run N not at H"`,
		UsageText: "cax explain --run N [--host H] [--json]",
		Description: `Says for each type of data of a run why it is, or is not, at a site, and what happens
next: what every site of the configuration that could bring it there decides, and what
was tried. Without --host, for all sites that keep that type. (--host asks here about
a site, it does not pretend.)

Example:
   cax explain --run 1 --host B`,
		Flags:  []cli.Flag{detectorFlag()},
		Action: explain,
	}
}

// lastEvents is how many events the text shows; cax history shows all.
const lastEvents = 3

func explain(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Config: true, Store: true, Runs: session.OneRun})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	host := c.String("host")
	if c.IsSet("host") && host == "" {
		return command.Usagef("leave it out for all sites", "--host is empty")
	}
	if err := session.KnownHost(s.Config, host); err != nil {
		return err
	}
	r, err := s.Run(c.Context, c.String("detector"))
	if err != nil {
		return err
	}
	xs, err := s.Env.Explain(c.Context, r, host)
	if err != nil {
		return err
	}
	for i := range xs {
		if s.JSON {
			err = s.Print(explanationLine(r, &xs[i]))
		} else {
			_, err = fmt.Fprint(s.Stdout, explanationText(r, &xs[i]))
		}
		if err != nil {
			return err
		}
	}
	if len(xs) == 0 {
		s.Note("%s has no copy on record anywhere, so no site can bring it anywhere: cax register a dataset of it", r)
	}
	return nil
}

func explanationText(r *rundb.Run, x *cax.Explanation) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(command.OneLine(fmt.Sprintf(format, args...)) + "\n")
	}
	what := string(x.Type)
	if x.Version != "" {
		what += " " + x.Version
	}
	line("%s, %s at %s: %s", r, what, x.Host, x.Answer)
	if x.Next != "" {
		line("  next: %s", x.Next)
	}
	for _, d := range x.Decisions {
		line("  %s", d)
	}
	if n := len(x.Events); n > lastEvents {
		line("  … %d earlier, see cax history", n-lastEvents)
		x.Events = x.Events[n-lastEvents:]
	}
	for _, e := range x.Events {
		line("  %s  %s: %s (%s)", e.Time.UTC().Format(time.DateTime), e.What, e.Why, e.By)
	}
	return b.String()
}

type explanationJSON struct {
	Number    int64          `json:"number"`
	Name      string         `json:"name"`
	Type      rundb.Type     `json:"type"`
	Version   string         `json:"pax_version,omitempty"`
	Host      string         `json:"host"`
	Answer    string         `json:"answer"`
	Next      string         `json:"next"`
	Copy      *copyJSON      `json:"copy"`
	Decisions []cax.Decision `json:"decisions"`
	Events    []eventJSON    `json:"events"`
}

func explanationLine(r *rundb.Run, x *cax.Explanation) explanationJSON {
	j := explanationJSON{Number: r.Number, Name: r.Name, Type: x.Type, Version: x.Version, Host: x.Host,
		Answer: x.Answer, Next: x.Next, Decisions: x.Decisions, Events: []eventJSON{}}
	if x.Copy != nil {
		c := copyLine(x.Copy)
		j.Copy = &c
	}
	if j.Decisions == nil {
		j.Decisions = []cax.Decision{}
	}
	for i := range x.Events {
		j.Events = append(j.Events, eventLine(&x.Events[i]))
	}
	return j
}
