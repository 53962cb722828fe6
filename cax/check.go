package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
)

// A Grade says how a finding of [Env.Check] is meant.
type Grade string

// The grades.
const (
	CheckOK   Grade = "ok"
	CheckWarn Grade = "warning" // works, and may not do what was meant
	CheckFail Grade = "fail"    // something that the configuration asks for will not work
	CheckSkip Grade = "skipped" // not looked at
)

// What a finding is about.
const (
	AboutRunDB      = "run database"
	AboutClock      = "clock"
	AboutMethod     = "method"
	AboutConnection = "connection" // host key and login included, when it is ok
	AboutHostKey    = "host key"
	AboutLogin      = "login"
	AboutDirectory  = "directory"
	AboutWrite      = "write"
	AboutSpace      = "space"
	AboutStorage    = "storage" // whether two sites are one
	AboutGrid       = "grid programs"
	AboutCert       = "certificate" // of the grid

	AboutCatalogue = "catalogue" // a Rucio server
	AboutTape      = "tape"      // a tape server, and dsmc
	AboutRSE       = "RSE"

	AboutBatch = "batch system"

	AboutCorrections = "corrections" // documents that runs get their gains, … from

	AboutPermissions = "permissions" // of the key permissions
)

// A Finding is what one probe found.
type Finding struct {
	Site   string `json:"site,omitempty"` // "" if it is about none
	What   string `json:"what"`           // one of the About… values
	Grade  Grade  `json:"grade"`
	Text   string `json:"text"`             // one sentence
	Remedy string `json:"remedy,omitempty"` // what to do; "" if nothing
}

// clockTolerance is the difference to the database's clock that is not worth a
// word. Nothing depends on it: times in records come from the database.
const clockTolerance = 10 * time.Second

// Check probes what the configuration of this site asks for: the run database
// (not if Store is nil), this site's directories, and each site that it pushes to
// or pulls from: host key, login, directories, space, whether a file can be made
// there, and whether two sites are one storage. What it makes is called
// .cax-check-…, and is removed again; with DryRun it makes nothing. Findings come
// as they are made. If the sequence is left early, or the context ends, the rest
// is not looked at.
func (e *Env) Check(ctx context.Context) iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		c := &checkup{env: e, yield: yield}
		defer c.clean(ctx)
		c.runDB(ctx)
		c.self(ctx)
		c.permissions()
		c.batch(ctx)
		c.corrections(ctx)
		for _, r := range e.checkedRemotes() {
			if c.over(ctx) {
				return
			}
			c.remote(ctx, r)
		}
		c.storages(ctx)
	}
}

// A checkup is one call of Check.
type checkup struct {
	env    *Env
	yield  func(Finding) bool
	left   bool // the caller wants no more
	places []*place
}

func (c *checkup) over(ctx context.Context) bool { return c.left || ctx.Err() != nil }

func (c *checkup) say(f Finding) {
	if !c.left {
		c.left = !c.yield(f)
	}
}

// fail reports an error of a probe. That the context has ended is none.
func (c *checkup) fail(ctx context.Context, site, what string, g Grade, err error, remedy string) {
	if ctx.Err() != nil {
		return
	}
	text := err.Error()
	var te *transfer.Error
	if errors.As(err, &te) {
		bare := *te
		bare.Hint = ""
		text = bare.Error()
		if te.Hint != "" {
			remedy = te.Hint
		}
	}
	var de *tsm.Error
	if te == nil && errors.As(err, &de) {
		bare := *de
		bare.Hint = ""
		text = bare.Error()
		if de.Hint != "" {
			remedy = de.Hint
		}
	}
	c.say(Finding{site, what, g, text, remedy})
}

// runDB asks the database for the time and for a run.
func (c *checkup) runDB(ctx context.Context) {
	store := c.env.Store
	if store == nil {
		return
	}
	const remedy = "see that the run database runs, and that --rundb, $CAX_RUNDB or rundb.uri names it"
	before := c.env.Clock.now()
	now, err := store.Now(ctx)
	after := c.env.Clock.now()
	if err != nil {
		c.fail(ctx, "", AboutRunDB, CheckFail, err, remedy)
		return
	}
	what := "holds no run yet"
	for r, err := range store.Find(ctx, &rundb.Query{Limit: 1}) {
		switch {
		case err != nil && r == nil && ctx.Err() == nil:
			c.fail(ctx, "", AboutRunDB, CheckFail, err, remedy)
			return
		case err == nil:
			what = fmt.Sprintf("answers; its newest run is %s", r)
		}
	}
	if c.over(ctx) {
		return
	}
	c.say(Finding{Site: "", What: AboutRunDB, Grade: CheckOK, Text: "the run database " + what})
	// The answer was made at some time between question and answer.
	off := time.Duration(0)
	switch {
	case now.Before(before):
		off = before.Sub(now)
	case now.After(after):
		off = now.Sub(after)
	}
	if off > clockTolerance {
		c.say(Finding{"", AboutClock, CheckWarn, fmt.Sprintf("this machine's clock and the run database's differ by %v", off.Round(time.Second)),
			"set both by NTP; times in records are the database's, times in logs this machine's"})
	} else {
		c.say(Finding{Site: "", What: AboutClock, Grade: CheckOK, Text: "this machine's clock and the run database's agree"})
	}
}

// A checkedRemote is a site that this one talks to.
type checkedRemote struct {
	site *Site
	push bool
}

func (e *Env) checkedRemotes() []checkedRemote {
	var rs []checkedRemote
	for _, name := range slices.Concat(e.Site.UploadOptions, e.Site.DownloadOptions) {
		s, ok := e.Config.Site(name)
		if ok && !slices.ContainsFunc(rs, func(r checkedRemote) bool { return r.site == s }) {
			rs = append(rs, checkedRemote{s, slices.Contains(e.Site.UploadOptions, name)})
		}
	}
	return rs
}
