package cax

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.uber.org/zap"
)

// A Task is one kind of work that a daemon does in each cycle.
type Task interface {
	// Name is the original's name: "CopyPush", "AddChecksum", ….
	Name() string

	// Select returns what together finds all runs for which the task may have
	// something to do or to say at this site. Its length does not depend on the
	// number of runs, and an index answers each query.
	Select(env *Env) []Candidates

	// Plan decides about runs. It only reads. A run may yield several actions;
	// those whose verb is not Do say why nothing is done.
	Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error]
}

// A Looker is a task that also finds something to do where Select does not lead: on
// this site's disks, or by what stands elsewhere in the run database. Look only reads, as
// [Task.Plan]; it is called once a cycle, after what Select finds, unless runs are named.
type Looker interface {
	Look(ctx context.Context, env *Env) iter.Seq2[Action, error]
}

// Tasks returns the tasks of cax, in the order in which a cycle runs them.
func Tasks() []Task {
	return append(correctionTasks(), []Task{
		copyTask{push: true, methods: caxMethods()},
		compareTask{},
		stalledTask{},
		badChecksumTask{},
		copyTask{methods: caxMethods()},
		verifyTask{},
		tapeTask{},
		permissionTask{},
		sizeTask{},
		processTask{},
		processTask{minitrees: true},
		purgeTask{processed: true},
		purgeTask{},
		emptyTrashTask{},
		scrubTask{},
		reconcileTask{},
	}...)
}

// caxMethods are those whose remotes cax copies to and from; catalogues are served by
// ruciax, as in the original.
func caxMethods() []Method {
	return []Method{MethodLocal, MethodSFTP, MethodSCP, MethodRsync, MethodGfal, MethodLcg, MethodTSM}
}

// Candidates are runs for which a task may have something to do with a remote.
type Candidates struct {
	Query  rundb.Query
	Remote string // the site that is talked to; "" if none
}

// A Verb says what a decision is.
type Verb string

// The verbs.
const (
	Do   Verb = "do"   // will be done now
	Wait Verb = "wait" // will be done later, by itself
	Skip Verb = "skip" // nothing is to be done
	Call Verb = "call" // a person has to look
)

// A Decision says what a task makes of one copy of one run, and why.
type Decision struct {
	Task   string
	Verb   Verb
	What   string // "copy", "resume", "take over", "verify", "compare", …
	Run    rundb.ID
	Number int64
	Name   string
	Veto   bool      // it is a run of the muon veto, whose numbers repeat
	Key    rundb.Key // the copy that is, or would be, made or changed
	From   string    // the source's site; "" if none
	Why    string    // one sentence
	Next   string    // what happens next, or what a person can do; may be ""
	Until  time.Time // for Wait: not before; zero: unknown
}

// An Action is a decision that can be carried out.
type Action struct {
	Decision

	// remote is the site that the action talks to, "" if none: actions of one
	// remote share its limits, and its failures.
	remote string
	apply  func(ctx context.Context) error
}

// NewAction makes an action of a task outside this package. remote names the
// site that it talks to, "" if none; apply is called at most once, and only if
// the decision's verb is Do. It has to look again before it acts, and returns
// [ErrNotNeeded] if there is nothing to do any more.
func NewAction(d Decision, remote string, apply func(ctx context.Context) error) Action {
	return Action{Decision: d, remote: remote, apply: apply}
}

// ErrNotNeeded is what an action returns that found, when it looked again, that
// there is nothing to do any more, or not now: somebody else was faster, or its
// remote has failed meanwhile. It is no failure.
var ErrNotNeeded = errors.New("there is nothing to do any more")

// Apply carries the action out. It reads the run again first and returns
// ErrNotNeeded if there is nothing to do any more. Actions whose verb is not Do do
// nothing.
func (a Action) Apply(ctx context.Context) error {
	if a.Verb != Do || a.apply == nil {
		return nil
	}
	return a.apply(ctx)
}

// An Env is what tasks work with: one site, its view of the world and its
// limits. It is made by [NewEnv].
type Env struct {
	Config *Config
	Policy Policy // with defaults
	Site   *Site  // the site that we are
	Store  *rundb.Store
	Owner  rundb.Owner
	Log    *zap.Logger
	Clock  Clock

	Only   Selection
	Once   bool // a single cycle: leases of others are judged by the database's clock
	DryRun bool // nothing is written, moved or deleted

	// NewestFirst leaves out that every fourth place is for the oldest run that waits.
	NewestFirst bool

	// Recent, if not zero: of the runs for which nothing was begun yet, only those that
	// started then or later are processed.
	Recent time.Time

	// Job is the key of the batch job that this process is, "" if it is none: it works
	// on what was claimed for that job, in place of submitting it.
	Job string

	// CPUs is how many cores a processor may use; 0: one.
	CPUs int

	// Program is the command of cax for this site, without --run, as batch jobs have to
	// call it; its first word is a path. nil: nothing can be submitted.
	Program []string

	// Environ are variables for batch jobs beside those of this process, NAME=value.
	Environ []string

	// Parallel is how many datasets are handled at once per remote. 0: the
	// remote's setting.
	Parallel int

	// DefaultParallel is how many are handled at once for a remote that has no setting.
	// 0: 2.
	DefaultParallel int

	// Tasks are those of the program that we are, in the order in which a cycle runs
	// them. nil: [Tasks].
	Tasks []Task

	// Monitor is told of transfers as they go; nil: nobody.
	Monitor Monitor

	remotes    *remotes
	observed   observer
	outages    outages
	scrubbing  scrubbing
	reconciled reconciled
	growths    growths
	misfits    misfits
	corrected  corrections
	catalogs   catalogs
	drives     tapeDrives
	recalls    recalls
	taping     pace
	ruled      pace
	queue      jobQueue
}

// NewEnv makes the environment of a site. Only Config, Site, Store and Owner are
// needed; the rest may be set before the first use. Close it when done.
func NewEnv(cfg *Config, site *Site, store *rundb.Store, owner rundb.Owner) *Env {
	e := &Env{
		Config: cfg,
		Policy: cfg.Policy.WithDefaults(),
		Site:   site,
		Store:  store,
		Owner:  owner,
		Log:    zap.NewNop(),
	}
	e.remotes = newRemotes(e)
	return e
}

// tasks are those of this program that run at this site.
func (e *Env) tasks() []Task {
	all := e.Tasks
	if all == nil {
		all = Tasks()
	}
	return slices.DeleteFunc(slices.Clone(all), func(t Task) bool { return !e.Site.Wants(t.Name()) || !e.possible(t) })
}

// Close ends the connections to remotes. It does not close the store.
func (e *Env) Close() error {
	return errors.Join(e.remotes.close(), e.catalogs.close(), e.recalls.close())
}

func (d *Decision) about(r *rundb.Run) {
	d.Run, d.Number, d.Name, d.Veto = r.ID, r.Number, r.Name, r.Detector == muonVeto
}
