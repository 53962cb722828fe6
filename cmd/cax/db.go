package main

import (
	"context"
	"fmt"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/urfave/cli/v2"
)

func dbCommand() *cli.Command {
	return &cli.Command{
		Name:      "db",
		Usage:     "make, fill, save and back up the run database",
		UsageText: "cax db init|import|export|backup [flags] [arguments]",
		Description: `Works on the run database of --rundb, $CAX_RUNDB, the configuration, or the embedded
default.

Example:
   cax db init --rundb sqlite:/data/runs.db`,
		Subcommands: []*cli.Command{dbInitCommand(), dbImportCommand(), dbExportCommand(), dbBackupCommand()},
	}
}

func dbInitCommand() *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "make a run database that does not exist yet",
		UsageText: "cax db init [--rundb URI]",
		Description: `Makes an empty run database. One that is there already is left as it is.

Example:
   cax db init --rundb sqlite:/data/runs.db`,
		Action: dbInit,
	}
}

func dbInit(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Store: true, Create: true, Write: true})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if s.JSON {
		return s.Print(struct {
			RunDB string `json:"rundb"`
			Made  bool   `json:"made"`
		}{s.Address.String(), s.Made && !s.DryRun})
	}
	said := map[bool]string{true: "made", false: "is there already:"}[s.Made]
	if s.Made && s.DryRun {
		said = "would make"
	}
	_, err = fmt.Fprintf(s.Stdout, "%s %s\n", said, s.Address)
	return err
}

func dbBackupCommand() *cli.Command {
	return &cli.Command{
		Name:      "backup",
		Usage:     "write a consistent copy of the embedded run database to a new file",
		UsageText: "cax db backup FILE",
		Description: `Daemons may go on meanwhile. FILE appears when it is complete, and replaces nothing.
It is a run database itself: --rundb sqlite:FILE. MongoDB has mongodump for this.

Example:
   cax db backup /backup/runs-2026-11-25.db`,
		Action: dbBackup,
	}
}

// A backuper is a run database that can copy itself to a file.
type backuper interface {
	Backup(ctx context.Context, to string) error
}

func dbBackup(c *cli.Context) (err error) {
	to, err := command.OneArgument(c, "file")
	if err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Store: true})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	b, ok := s.Store.Driver.(backuper)
	if !ok {
		return command.Usagef("use mongodump, or cax db export", "%s is not an embedded run database", s.Address)
	}
	said := "would back up"
	if !s.DryRun {
		said = "backed up"
		if err := b.Backup(c.Context, to); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(s.Stdout, "%s %s to %s\n", said, s.Address, to)
	return err
}
