// Package rucioflags is what ruciax and massive-ruciax share: the flags about rules and
// uploads, and the tasks that follow from them.
package rucioflags

import (
	"errors"
	"path/filepath"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
)

const category = "Rucio"

// Rule is the flag that names a rule file.
func Rule() cli.Flag {
	return &cli.StringFlag{Name: "rucio-rule", Category: category, Usage: "make, change and delete rules as `FILE` says; without it they are only looked at"}
}

// Upload are the flags that change one upload.
func Upload() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "rucio-scope", Category: category, Usage: "upload into `SCOPE` instead of the one that naming.upload_scope gives"},
		&cli.StringFlag{Name: "rucio-rse", Category: category, Usage: "upload to `RSE` instead of rucio_upload_rse"},
		&cli.StringFlag{Name: "rucio-upload", Category: category, Usage: "upload the dataset at `PATH`, of the run that --run or --name names, instead of this site's copy"},
	}
}

// Adjust changes the configuration as the flags of Upload say.
func Adjust(c *cli.Context, cfg *cax.Config) error {
	for _, f := range []string{"rucio-scope", "rucio-rse", "rucio-upload", "rucio-rule"} {
		if c.IsSet(f) && c.String(f) == "" {
			return command.Usagef("give a value, or leave it out", "--%s is empty", f)
		}
	}
	if scope := c.String("rucio-scope"); scope != "" {
		cfg.Naming.UploadScope = scope
	}
	if rse := c.String("rucio-rse"); rse != "" {
		for _, s := range cfg.Sites {
			if s.Method == cax.MethodRucio {
				s.RucioUploadRSE = rse
			}
		}
	}
	if c.String("rucio-upload") != "" && !c.IsSet("run") && !c.IsSet("name") {
		return command.Usagef("give --run N or --name NAME", "--rucio-upload is the dataset of one run")
	}
	return nil
}

// Tasks gives the tasks. What runs of them is what the site's task_list says; where it
// has none, a rule file that only looks (verification_only) leaves RucioRule.
func Tasks(c *cli.Context, s *session.Session) ([]cax.Task, error) {
	o := cax.RucioOptions{}
	if p := c.String("rucio-upload"); p != "" {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		o.Path = abs
	}
	if file := c.String("rucio-rule"); file != "" {
		rules, notes, err := cax.LoadRules(file)
		var bad *cax.ConfigError
		if errors.As(err, &bad) {
			session.PrintProblems(s.Stderr, c.App.Name, bad.Problems)
			return nil, command.ErrConfig
		}
		if err != nil {
			return nil, err
		}
		for _, n := range notes {
			s.Log.Warn("rule file", zap.String("note", n.String()))
		}
		o.Rules = rules
	}
	all := cax.RucioTasks(o)
	if s.Site.TaskList == nil && cax.RulesOnly(o.Rules) {
		return all[len(all)-1:], nil
	}
	return all, nil
}
