package main

import (
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/urfave/cli/v2"
)

// poolCommand serves the local pool of a site until nothing waits or runs. It is started
// by whoever submits.
func poolCommand() *cli.Command {
	return &cli.Command{
		Name:      "pool",
		Usage:     "run the jobs of this site's local pool",
		UsageText: "cax pool",
		Hidden:    true,
		Action: func(c *cli.Context) (err error) {
			if err := command.NoArguments(c); err != nil {
				return err
			}
			s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true})
			if err != nil {
				return err
			}
			defer s.CloseInto(&err)
			p, err := s.Env.Pool()
			if err != nil {
				return err
			}
			return p.Serve(c.Context)
		},
	}
}
