package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func locatorCommand() *cli.Command {
	return &cli.Command{
		Name:      "locator",
		Usage:     "find runs by where the catalogue has them",
		UsageText: "ruciax locator --method METHOD [--run N | --name NAME] [--rse RSE]… [--copies N] [--status S] [--live] [--json]",
		Description: `Methods:
   SingleRun              where one run is (--run or --name)
   Status                 runs whose record is in --status
   MultiCopies            runs that are whole at --copies RSEs or more
   CheckRSESingle         runs that are whole at --rse, and nowhere else
   CheckRSEMultiple       runs that are whole at each --rse
   ListSingleRules        rules on single files, which a dataset's rules should do for
   DeleteSingleFileRules  deletes these rules, of files that are in a dataset with a rule at the same RSE that is OK

A run is whole at an RSE that has all its files, kept by a rule that is OK. What the last look
of RucioRule found is shown; --live asks the catalogue.

Example:
   ruciax locator --method CheckRSESingle --rse LNGS_USERDISK`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "method", Usage: "find by `METHOD`"},
			&cli.StringSliceFlag{Name: "rse", Usage: "at this `RSE`; may be repeated"},
			&cli.IntFlag{Name: "copies", Value: 2, Usage: "whole at `N` RSEs or more, for MultiCopies"},
			&cli.StringFlag{Name: "status", Value: string(rundb.Transferred), Usage: "in status `S`, for Status"},
			&cli.BoolFlag{Name: "live", Usage: "ask the catalogue"},
		},
		Action: locator,
	}
}

// methods are those of ruciax locator.
func methods() []string {
	return []string{"SingleRun", "Status", "MultiCopies", "CheckRSESingle", "CheckRSEMultiple", "ListSingleRules", "DeleteSingleFileRules"}
}

func locator(c *cli.Context) (err error) {
	method, rses := c.String("method"), c.StringSlice("rse")
	if method == "" {
		return command.Usagef("one of "+fmt.Sprint(methods()), "ruciax locator needs a --method")
	}
	if err := session.OneOf(c, "method", methods()...); err != nil {
		return err
	}
	need := session.Need{Config: true, Site: true, Store: true, Runs: session.AnyRuns}
	switch {
	case (method == "CheckRSESingle" || method == "CheckRSEMultiple") && len(rses) == 0:
		return command.Usagef("give --rse RSE", "%s needs an RSE", method)
	case method == "CheckRSESingle" && len(rses) > 1:
		return command.Usagef("use CheckRSEMultiple", "CheckRSESingle takes one --rse")
	case method == "MultiCopies" && c.Int("copies") < 1:
		return command.Usagef("give a number of 1 or more", "--copies %d", c.Int("copies"))
	case method == "SingleRun":
		need.Runs = session.OneRun
	case method == "DeleteSingleFileRules":
		need.Write = true
	}
	s, err := open(c, need)
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	if method == "ListSingleRules" || method == "DeleteSingleFileRules" {
		return singleRules(c, s, rses, method == "DeleteSingleFileRules")
	}
	q := s.Query()
	if method == "Status" {
		q.Copies = []rundb.CopyMatch{{Statuses: []rundb.Status{rundb.Status(c.String("status"))}}}
	}
	return show(c, s, q, c.Bool("live"), func(l *cax.Located) bool {
		whole := l.Whole()
		switch method {
		case "Status":
			return string(l.Copy.Status) == c.String("status")
		case "MultiCopies":
			return len(whole) >= c.Int("copies")
		case "CheckRSESingle":
			return slices.Equal(whole, rses)
		case "CheckRSEMultiple":
			return !slices.ContainsFunc(rses, func(r string) bool { return !slices.Contains(whole, r) })
		}
		return true
	})
}

// A singleRule is a rule on one file, as --json prints it.
type singleRule struct {
	Number   int64  `json:"number"`
	Name     string `json:"name"`
	File     string `json:"file"`
	RSE      string `json:"rse"`
	Rule     string `json:"rule"`
	State    string `json:"state"`
	Needless bool   `json:"needless"` // a rule on its dataset keeps the file there too
	Deleted  bool   `json:"deleted"`
}

// singleRules lists the rules on single files of the datasets, and deletes them where
// that is wanted and they are not needed.
func singleRules(c *cli.Context, s *session.Session, rses []string, remove bool) error {
	var bad []error
	n := 0
	for l, err := range s.Env.Locate(c.Context, s.Query(), true) {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		if l.Missing {
			continue
		}
		client, _, err := s.Env.Catalogue(l.Copy.Host)
		if err != nil {
			return err
		}
		did, err := rucio.ParseDID(l.Copy.Location)
		if err != nil {
			return err
		}
		member := map[rucio.DID]bool{}
		for m, err := range client.Contents(c.Context, did) {
			if err != nil {
				return err
			}
			member[m.DID] = true
		}
		whole := l.Whole()
		for r, err := range client.Rules(c.Context, rucio.RuleFilter{Scope: did.Scope}) {
			if err != nil {
				bad = append(bad, err)
				break
			}
			if r.DIDType != rucio.File || !member[r.DID] || len(rses) > 0 && !slices.Contains(rses, r.RSEExpression) {
				continue
			}
			n++
			line := singleRule{Number: l.Run.Number, Name: l.Run.Name, File: r.DID.String(), RSE: r.RSEExpression, Rule: r.ID, State: string(r.State),
				Needless: slices.Contains(whole, r.RSEExpression)}
			verb := "needed"
			if line.Needless {
				verb = "not needed: a rule on the dataset keeps it there too"
			}
			if remove && line.Needless {
				verb = "would be deleted"
				if !s.DryRun {
					if err := client.DeleteRule(c.Context, r.ID, false); err != nil {
						bad = append(bad, err)
						continue
					}
					verb, line.Deleted = "deleted; the catalogue ends it within the hour", true
				}
			}
			if s.JSON {
				if err := s.Print(line); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(s.Stdout, "%s %s at %s, rule %s, %s: %s\n", l.Run, line.File, line.RSE, line.Rule, line.State, verb)
		}
	}
	if n == 0 && len(bad) == 0 {
		s.Note("no rule on a single file")
	}
	return errors.Join(bad...)
}
