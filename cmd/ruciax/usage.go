package main

import (
	"fmt"

	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rucio"
	"github.com/urfave/cli/v2"
)

func usageCommand() *cli.Command {
	return &cli.Command{
		Name:      "usage",
		Usage:     "show how much our account may store and has stored, by RSE",
		UsageText: "ruciax usage [--site CATALOGUE] [--account ACCOUNT] [--json]",
		Description: `Prints the quota of the account and what it uses, as the server has counted it last, for each
RSE with either.

Example:
   ruciax usage`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "site", Usage: "ask the `CATALOGUE`, where there are several"},
			&cli.StringFlag{Name: "account", Usage: "show `ACCOUNT` instead of ours"},
		},
		Action: usage,
	}
}

// A usageLine is one RSE, as --json prints it.
type usageLine struct {
	Account string `json:"account"`
	RSE     string `json:"rse"`
	Bytes   int64  `json:"bytes"`
	Files   int64  `json:"files"`
	Limit   *int64 `json:"limit"` // null: unlimited
	Left    *int64 `json:"left"`
}

func usage(c *cli.Context) (err error) {
	s, err := open(c, session.Need{Config: true, Site: true, Store: true, Runs: session.NoRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	client, _, err := s.Env.Catalogue(c.String("site"))
	if err != nil {
		return err
	}
	account := c.String("account")
	if account == "" {
		me, err := client.Whoami(c.Context)
		if err != nil {
			return err
		}
		account = me.Name
	}
	tab := table.Table{Header: []string{"RSE", "USED", "FILES", "LIMIT", "LEFT"}}
	n := 0
	for u, err := range client.AccountUsage(c.Context, account) {
		if err != nil {
			return err
		}
		n++
		line := usageLine{Account: account, RSE: u.RSE, Bytes: u.Bytes, Files: u.Files}
		limit, left := "unlimited", "unlimited"
		if u.Limit != rucio.Unlimited {
			l, r := u.Limit, u.Left
			line.Limit, line.Left = &l, &r
			limit, left = table.Size(l), table.Size(max(0, r))
		}
		if s.JSON {
			if err := s.Print(line); err != nil {
				return err
			}
			continue
		}
		tab.Add(table.Cell{Text: u.RSE}, table.Cell{Text: table.Size(u.Bytes), Right: true}, table.Cell{Text: fmt.Sprint(u.Files), Right: true},
			table.Cell{Text: limit, Right: true}, table.Cell{Text: left, Right: true})
	}
	if n == 0 {
		s.Note("account %s has neither quota nor data anywhere", account)
		return nil
	}
	if s.JSON {
		return nil
	}
	return tab.Write(s.Stdout, s.Colour)
}
