package cax

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// A Daemon runs the tasks of one site in cycles.
type Daemon struct {
	Env   *Env
	Tasks []Task // nil: those of the site's task_list

	mu     sync.Mutex
	busy   map[string]int    // actions under way, by remote
	doing  map[doingKey]bool // actions under way
	freed  chan struct{}     // told when an action has ended
	closed sync.WaitGroup
}

type doingKey struct {
	task string
	run  rundb.ID
	key  rundb.Key
}

// NewDaemon makes a daemon for the site of env.
func NewDaemon(env *Env) *Daemon {
	return &Daemon{
		Env:   env,
		Tasks: env.tasks(),
		busy:  map[string]int{},
		doing: map[doingKey]bool{},
		freed: make(chan struct{}, 1),
	}
}

// A Summary counts what one cycle did.
type Summary struct {
	Done    int // actions carried out
	Failed  int
	Waiting int // actions that will be tried later by themselves
	Calls   int // findings for a person
}

// Once runs every task once, in order, and returns when all its actions have
// ended. The error joins those of single actions; none of them keeps the others
// from being tried. With Env.DryRun nothing is done, and the summary counts what
// would be.
func (d *Daemon) Once(ctx context.Context) (Summary, error) {
	var total Summary
	var errs []error
	for _, t := range d.Tasks {
		var mu sync.Mutex
		var s Summary
		err := d.pass(ctx, t, true, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, ErrNotNeeded):
			case err != nil:
				s.Failed++
				errs = append(errs, err)
			default:
				s.Done++
			}
		}, &s)
		d.closed.Wait()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.Name(), err))
		}
		total.Done += s.Done
		total.Failed += s.Failed
		total.Waiting += s.Waiting
		total.Calls += s.Calls
		if ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil && !errors.Is(errors.Join(errs...), context.Canceled) {
		errs = append(errs, ctx.Err())
	}
	return total, errors.Join(errs...)
}

// tellEvery is how often a daemon that has nothing new to say says so: silence
// must not look like health.
const tellEvery = time.Hour

// underWay is the number of actions that have not ended.
func (d *Daemon) underWay() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.doing)
}

// Run runs cycles until the context ends, and then waits for the actions under
// way, which write down where they are. It returns nil: failures of actions, of
// the run database and of remotes are logged and tried again.
func (d *Daemon) Run(ctx context.Context) error {
	env := d.Env
	env.Log.Info("daemon starts", zap.String("site", env.Site.Name), zap.Int("tasks", len(d.Tasks)))
	defer func() {
		d.closed.Wait()
		env.Log.Info("daemon ends", zap.String("site", env.Site.Name))
	}()
	following, stop := context.WithCancel(ctx)
	defer stop()
	d.closed.Go(func() { env.remotes.follow(following) })
	tick := time.NewTicker(env.Policy.Interval)
	defer tick.Stop()
	var last Summary
	told := env.Clock.elapsed() - tellEvery
	for {
		began := env.Clock.elapsed()
		var sum Summary
		for _, t := range d.Tasks {
			err := d.pass(ctx, t, false, func(error) {}, &sum)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				env.Log.Error("task failed, tried again in the next cycle", zap.String("task", t.Name()), zap.Error(err))
			}
		}
		env.observed.forget(10*env.Policy.LeaseExpired, env.Clock.elapsed())
		env.outages.forget(10*env.Policy.BackoffMax, env.Clock.elapsed())
		env.growths.forget(10*env.Policy.LeaseExpired, env.Clock.elapsed())
		level := zap.DebugLevel
		if now := env.Clock.elapsed(); sum != last || now-told >= tellEvery {
			level, last, told = zap.InfoLevel, sum, now
		}
		env.Log.Log(level, "cycle done", zap.Duration("took", env.Clock.elapsed()-began),
			zap.Int("under_way", d.underWay()), zap.Int("waiting", sum.Waiting), zap.Int("calls", sum.Calls))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-d.freed:
		}
	}
}

// pass plans one task and starts its actions. wait says whether to wait for a
// free slot (--once), or to leave what finds none for the next cycle.
func (d *Daemon) pass(ctx context.Context, t Task, wait bool, ended func(error), s *Summary) error {
	env := d.Env
	var errs []error
	for _, src := range env.origins(ctx, t, env.considered(t, false)) {
		for a, err := range src.actions {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				env.Log.Error("run skipped", zap.String("task", t.Name()), zap.Error(err))
				errs = append(errs, err)
				continue
			}
			if !d.say(a, s) {
				continue
			}
			started, err := d.start(ctx, a, wait, ended)
			if err != nil {
				return err
			}
			if !started {
				s.Waiting++
				if a.remote == src.remote {
					break // the rest of these runs would find no slot either
				}
			}
		}
		if err := env.outages.tell(src.remote, env.Clock.elapsed()); err != nil {
			env.Log.Warn("remote is left alone for now", zap.String("remote", src.remote), zap.Error(err))
		}
	}
	return errors.Join(errs...)
}

// say counts and logs an action that will not be started, and reports whether
// this one is to be.
func (d *Daemon) say(a Action, s *Summary) bool {
	log := d.Env.Log
	switch a.Verb {
	case Wait:
		s.Waiting++
		log.Debug("waits", append(fields(a.Decision), zap.String("why", a.Why), zap.Time("until", a.Until))...)
	case Call:
		s.Calls++
		log.Debug("needs a person", append(fields(a.Decision), zap.String("why", a.Why), zap.String("next", a.Next))...)
	case Do:
		if !d.Env.DryRun {
			return true
		}
		s.Done++
		log.Info("would "+a.What, append(fields(a.Decision), zap.String("why", a.Why))...)
	}
	return false
}

// start starts an action when its remote has a free slot. It reports false if
// there is none; an action that is under way, or that failed a short while ago, is
// left alone.
func (d *Daemon) start(ctx context.Context, a Action, wait bool, ended func(error)) (bool, error) {
	k := doingKey{a.Task, a.Run, a.Key}
	for {
		d.mu.Lock()
		if d.doing[k] || !wait && d.Env.outages.isParked(k, d.Env.Clock.elapsed()) {
			d.mu.Unlock()
			return true, nil
		}
		if d.busy[a.remote] < d.slots(a.remote) {
			d.busy[a.remote]++
			d.doing[k] = true
			d.mu.Unlock()
			break
		}
		d.mu.Unlock()
		if !wait {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-d.freed:
		}
	}
	d.closed.Go(func() {
		_, _, err := safely(func() (rundb.Status, bson.D, error) { return "", nil, a.Apply(ctx) })
		if err != nil && !errors.Is(err, ErrNotNeeded) && !errors.Is(err, context.Canceled) {
			about := append(fields(a.Decision), zap.String("class", classify(err)), zap.Error(err))
			var bug *defect
			if errors.As(err, &bug) {
				about = append(about, zap.ByteString("stack", bug.stack))
			}
			d.Env.Log.Error(a.What+" failed", about...)
		}
		d.Env.outages.note(a.remote, err, d.Env.Policy, d.Env.Clock.elapsed())
		d.Env.outages.park(k, err, d.Env.Policy, d.Env.Clock.elapsed())
		ended(err)
		d.mu.Lock()
		d.busy[a.remote]--
		delete(d.doing, k)
		d.mu.Unlock()
		select {
		case d.freed <- struct{}{}:
		default:
		}
	})
	return true, nil
}

// slots is how many datasets are handled at once for a remote; "" stands for
// work on this site's own disks.
func (d *Daemon) slots(remote string) int {
	if d.Env.Parallel > 0 {
		return d.Env.Parallel
	}
	if s, ok := d.Env.Config.Site(remote); ok && s.Parallel > 0 {
		return s.Parallel
	}
	return cmp.Or(d.Env.DefaultParallel, 2)
}
