package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

// summary prints counts in place of copies.
func summary(c *cli.Context, s *session.Session, q *rundb.Query, m rundb.CopyMatch, filtered bool) error {
	var p cax.Policy
	if s.Config != nil {
		p = s.Config.Policy
	}
	sums, bad := cax.Summarize(c.Context, s.Store, q, m, p)
	tab := table.Table{Header: []string{"SITE", "TYPE", "STATUS", "COPIES", "SIZE", "VERIFIED", "NOTE"}}
	for _, x := range sums {
		if s.JSON {
			if err := s.Print(x); err != nil {
				return errors.Join(bad, err)
			}
			continue
		}
		verified, note := "-", ""
		if x.Status == rundb.Transferred {
			verified = fmt.Sprintf("%d of %d, %s", x.VerifiedCopies, x.Copies, table.Size(x.VerifiedBytes))
			if x.Bytes > 0 {
				verified += fmt.Sprintf(", %.0f%%", 100*float64(x.VerifiedBytes)/float64(x.Bytes))
			}
		}
		if x.UnknownSize > 0 {
			note = fmt.Sprintf("size of %d unknown", x.UnknownSize)
		}
		tab.Add(table.Cell{Text: x.Site}, table.Cell{Text: string(x.Type)}, table.Cell{Text: string(x.Status), Colour: colourOf(x.Status)},
			table.Cell{Text: strconv.Itoa(x.Copies), Right: true}, table.Cell{Text: table.Size(x.Bytes), Right: true},
			table.Cell{Text: verified, Right: true}, table.Cell{Text: note})
	}
	if tab.Len() > 0 {
		if err := tab.Write(s.Stdout, s.Colour); err != nil {
			return errors.Join(bad, err)
		}
	}
	if len(sums) == 0 && bad == nil {
		s.Note("%s", nothingFound(c, s, filtered))
	}
	return bad
}
