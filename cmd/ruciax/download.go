package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
)

func downloadCommand() *cli.Command {
	return &cli.Command{
		Name:  "download",
		Usage: "fetch runs from the catalogue, into a folder or back into this site",
		UsageText: "ruciax download --dir DIR (--run N | --name NAME | --list FILE | --location DID) [--type raw|processed]\n" +
			"ruciax download --restore (--run N | --name NAME | --list FILE | --location DID) [--type raw|processed]",
		Description: `With --dir each dataset becomes a folder in DIR, called as on other disks, and nothing is
written into the run database. Every file is compared with the catalogue's checksum, and
the dataset with the run's manifest if there is one. What is there and right already is not
fetched; what is another file is an error, or replaced with --overwrite. A download that
was interrupted goes on.

With --restore the dataset becomes this site's copy, in its directory and with a new record,
claimed and verified as by CopyPull.

A list has the number or the name of a run, or a DID, on each line; empty lines and what
follows a # do not count. One that fails does not keep the others from being fetched.

Examples:
   ruciax download --dir /scratch --run 5200
   ruciax download --restore --list runs.txt --rse LNGS_USERDISK`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "fetch into the folder `DIR`"},
			&cli.BoolFlag{Name: "restore", Usage: "fetch into this site's directory, with a record"},
			&cli.StringFlag{Name: "type", Value: string(rundb.Raw), Usage: "`TYPE` of the data: raw or processed"},
			&cli.StringFlag{Name: "pax-version", Usage: "only version `V` of processed data"},
			&cli.StringFlag{Name: "detector", Usage: "`DETECTOR` of the runs, where several have a number or name"},
			&cli.StringFlag{Name: "list", Usage: "fetch what the lines of `FILE` name; -: of standard input"},
			&cli.StringFlag{Name: "location", Usage: "fetch what the catalogue calls `DID`"},
			&cli.StringFlag{Name: "rse", DefaultText: "any", Usage: "only from `RSE`, or those of an expression"},
			&cli.BoolFlag{Name: "overwrite", Usage: "replace files in DIR that are other ones"},
		},
		Action: download,
	}
}

// A downloadLine is what became of one dataset, as --json prints it.
type downloadLine struct {
	Number   int64      `json:"number"`
	Name     string     `json:"name"`
	Type     rundb.Type `json:"type"`
	Version  string     `json:"pax_version,omitempty"`
	Location string     `json:"location"` // in the catalogue
	Path     string     `json:"path"`     // here
	Verb     string     `json:"verb"`     // "do": it was, or would be, fetched; "skip", "wait", "call"
	Why      string     `json:"why,omitempty"`
	Files    int        `json:"files"`   // that are here and right
	Bytes    int64      `json:"bytes"`   // of them
	Fetched  int64      `json:"fetched"` // bytes; in a dry run, those that would be
	Failed   int        `json:"failed"`  // files that are not here
	DryRun   bool       `json:"dry_run"`
	Error    string     `json:"error,omitempty"`
}

func download(c *cli.Context) (err error) {
	wants, err := downloadWants(c)
	if err != nil {
		return err
	}
	s, err := open(c, session.Need{Config: true, Site: true, Store: true, Write: c.Bool("restore"), Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	d := &downloads{c: c, s: s}
	g := errgroup.Group{}
	g.SetLimit(max(1, c.Int("parallel")))
	for i := range wants {
		g.Go(func() error {
			d.fetch(c.Context, &wants[i])
			return nil
		})
	}
	g.Wait()
	if err := c.Context.Err(); err != nil {
		return err
	}
	return errors.Join(d.bad...)
}

// downloadWants reads what is wanted. An empty or half-given selection is an error: it
// would mean every run.
func downloadWants(c *cli.Context) ([]want, error) {
	const which = "--run, --name, --list and --location"
	given := 0
	for _, f := range []string{"run", "name", "list", "location"} {
		if c.IsSet(f) {
			given++
		}
	}
	for _, f := range []string{"dir", "list", "location", "rse"} {
		if c.IsSet(f) && c.String(f) == "" {
			return nil, command.Usagef("give a value, or leave it out", "--%s is empty", f)
		}
	}
	if err := session.OneOf(c, "type", string(rundb.Raw), string(rundb.Processed)); err != nil {
		return nil, err
	}
	switch {
	case given != 1:
		return nil, command.Usagef("give one of "+which, "ruciax download needs to be told what to fetch, once")
	case c.IsSet("dir") == c.Bool("restore"):
		return nil, command.Usagef("--dir DIR for a folder, --restore for this site's directory", "ruciax download needs --dir or --restore, and not both")
	case c.Bool("restore") && c.Bool("overwrite"):
		return nil, command.Usagef("leave it out; cax verify finds out what is wrong with this site's copy", "--overwrite is for --dir, and replaces no copy of this site")
	case c.String("pax-version") != "" && c.String("type") != string(rundb.Processed):
		return nil, command.Usagef("add --type processed", "--pax-version is for processed data")
	case c.IsSet("list"):
		return readList(c.String("list"), c.App.Reader)
	case c.IsSet("location"):
		w, err := parseWant(c.String("location"))
		if err != nil || w.did.Name == "" {
			return nil, command.Usagef("write it as SCOPE:NAME", "--location %q is no DID", c.String("location"))
		}
		return []want{w}, nil
	case c.IsSet("run"):
		n := c.Int64("run")
		return []want{{text: fmt.Sprintf("run %d", n), number: &n}}, nil
	}
	return []want{{text: c.String("name"), name: c.String("name")}}, nil
}

// downloads are those of one call of the command.
type downloads struct {
	c *cli.Context
	s *session.Session

	mu  sync.Mutex // of output and bad
	bad []error
}

func (d *downloads) failed(w *want, err error) {
	if d.c.Context.Err() != nil {
		return // it is told once
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bad = append(d.bad, fmt.Errorf("%s%s: %w", w.from, w.text, err))
}

// fetch fetches all that one line means.
func (d *downloads) fetch(ctx context.Context, w *want) {
	found, err := d.find(ctx, w)
	if err != nil {
		d.failed(w, err)
		return
	}
	for _, l := range found {
		line, err := d.one(ctx, l)
		if err != nil {
			d.failed(w, err)
			line.Error = command.OneLine(err.Error())
		}
		d.say(line)
	}
}

// find looks up the records that are meant, each of one dataset.
func (d *downloads) find(ctx context.Context, w *want) ([]*cax.Located, error) {
	var q rundb.Query
	m := rundb.CopyMatch{}
	switch {
	case w.did.Name != "":
		m.Location = w.did.String()
	case w.number != nil:
		q.Numbers = []rundb.Range{{From: *w.number, To: *w.number}}
	default:
		q.Names = []string{w.name}
	}
	if det := d.c.String("detector"); det != "" {
		q.Detectors = []string{det}
	}
	if w.did.Name == "" {
		m.Types = []rundb.Type{rundb.Type(d.c.String("type"))}
		if v := d.c.String("pax-version"); v != "" {
			m.Versions = []string{v}
		}
	}
	q.Copies = []rundb.CopyMatch{m}
	var found []*cax.Located
	for l, err := range d.s.Env.Locate(ctx, q, false) {
		if err != nil {
			return nil, err
		}
		if m.Match(&l.Copy) {
			found = append(found, l)
		}
	}
	for _, l := range found {
		switch {
		case l.Run.ID != found[0].Run.ID:
			return nil, fmt.Errorf("%s and %s are both meant; say which one with --detector", found[0].Run, l.Run)
		case l.Copy.Status != rundb.Transferred && d.c.Bool("restore"):
			return nil, fmt.Errorf("%s in the catalogue is %s, not transferred", l.Run, l.Copy.Status)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if w.did.Name == "" {
		return nil, fmt.Errorf("no record of %s data in the catalogue; ruciax locator shows what there is", d.c.String("type"))
	}
	if d.c.Bool("restore") {
		return nil, errors.New("no run has a record of it; fetch it with --dir, and make one with cax register")
	}
	return []*cax.Located{{Copy: rundb.Copy{Location: w.did.String()}}}, nil
}

// one fetches one dataset.
func (d *downloads) one(ctx context.Context, l *cax.Located) (downloadLine, error) {
	line := downloadLine{Type: l.Copy.Type, Version: l.Copy.Version, Location: l.Copy.Location, Verb: string(cax.Do), DryRun: d.s.DryRun}
	if l.Run != nil {
		line.Number, line.Name = l.Run.Number, l.Run.Name
	}
	if d.c.Bool("restore") {
		return d.restore(ctx, l, line)
	}
	dir, err := filepath.Abs(d.c.String("dir"))
	if err != nil {
		return line, err
	}
	f := cax.Fetch{Located: *l, Dir: dir, RSE: d.c.String("rse"), Overwrite: d.c.Bool("overwrite")}
	line.Path = f.Path()
	res, err := d.s.Env.Fetch(ctx, f)
	if res != nil {
		line.Files, line.Bytes, line.Fetched, line.Failed = len(res.Files), res.Bytes, res.Moved, res.Failed
	}
	if err == nil && res.Failed == 0 && len(res.Files) == 0 {
		err = &rucio.Error{Op: "download", Thing: l.Copy.Location, Kind: rucio.ErrUnavailable, Err: errors.New("no file of it is in the catalogue")}
	}
	return line, err
}

func (d *downloads) restore(ctx context.Context, l *cax.Located, line downloadLine) (downloadLine, error) {
	did, err := d.s.Env.Restore(ctx, l, d.c.String("rse"))
	line.Verb, line.Why = string(did.Verb), did.Why
	if err != nil {
		return line, err
	}
	if did.Verb == cax.Call || did.Verb == cax.Wait {
		return line, errors.New(did.Why)
	}
	if d.s.DryRun {
		return line, nil
	}
	r, err := d.s.Store.Get(ctx, l.Run.ID)
	if err != nil {
		return line, err
	}
	if c, ok := r.Copy(did.Key); ok {
		line.Path, line.Files, line.Bytes = c.Location, int(c.Files), c.Size
		if did.Verb == cax.Do {
			line.Fetched = c.Size
		}
	}
	return line, nil
}

// say prints what became of one dataset.
func (d *downloads) say(l downloadLine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.s.JSON {
		if err := d.s.Print(l); err != nil {
			d.bad = append(d.bad, err)
		}
		return
	}
	if l.Error != "" {
		return // it is told at the end
	}
	what := l.Location
	if l.Name != "" {
		what = fmt.Sprintf("run %d (%s), %s", l.Number, l.Name, l.Location)
	}
	var text string
	switch {
	case l.Verb != string(cax.Do):
		text = fmt.Sprintf("%s: not fetched: %s", what, l.Why)
	case l.DryRun && d.c.Bool("restore"):
		text = fmt.Sprintf("%s: would be restored: %s", what, l.Why)
	case l.DryRun:
		text = fmt.Sprintf("%s: would fetch %d files, %s, into %s", what, l.Failed, table.Size(l.Fetched), l.Path)
	default:
		text = fmt.Sprintf("%s: %d files, %s, in %s are right; %s were fetched", what, l.Files, table.Size(l.Bytes), l.Path, table.Size(l.Fetched))
	}
	if _, err := fmt.Fprintln(d.s.Stdout, command.OneLine(text)); err != nil {
		d.bad = append(d.bad, err)
	}
}
