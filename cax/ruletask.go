package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// ruleTask is RucioRule: it asks the catalogue what it has of each dataset and writes it
// into the record, and makes, prolongs, shortens and deletes rules as a rule file says.
type ruleTask struct{ requests []RuleRequest }

func (ruleTask) Name() string { return "RucioRule" }

// How often what did not change is looked at again. A copy counts for verified_within,
// which is longer.
const (
	lookEvery = 15 * time.Minute // a daemon
	lookWhole = 24 * time.Hour   // and writes down then that nothing has changed
)

func (t ruleTask) Select(env *Env) []Candidates {
	var cs []Candidates
	for _, host := range env.Config.catalogues() {
		m := rundb.CopyMatch{Hosts: []string{host}, Statuses: []rundb.Status{rundb.Transferred}}
		cs = append(cs, Candidates{Query: rundb.Query{Names: env.Site.DatasetList, Copies: []rundb.CopyMatch{m}}, Remote: host})
	}
	if !env.Once && !env.ruled.due(env.Clock.elapsed(), lookEvery) {
		return nil
	}
	return cs
}

func (t ruleTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	m := rundb.CopyMatch{Hosts: env.Config.catalogues(), Statuses: []rundb.Status{rundb.Transferred}}
	return atTime(ctx, env, func(now time.Time) iter.Seq2[Action, error] {
		return eachCopy(runs, m, func(r *rundb.Run, c rundb.Copy) (Action, error) {
			l, err := t.look(ctx, env, r, &c, now)
			if err != nil {
				return Action{}, fmt.Errorf("%s at %s: %w", r, c.Host, err)
			}
			a := Action{Decision: l.d, remote: c.Host}
			if l.d.Verb == Do {
				a.apply = func(ctx context.Context) error { return t.run(ctx, env, r.ID, c.Key) }
			}
			return a, nil
		})
	})
}

// A ruleLook is what RucioRule found about one copy and makes of it.
type ruleLook struct {
	d        Decision
	request  *RuleRequest // nil: none means the run
	found    *cataloged   // nil: it was not asked for
	steps    []ruleStep
	replicas []rundb.Replica
	status   rundb.Status
	wrong    error // why the status is not transferred
}

// look decides about one copy; it asks the catalogue unless that was done a short while
// ago.
func (t ruleTask) look(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, now time.Time) (*ruleLook, error) {
	l := &ruleLook{d: Decision{Task: t.Name(), Verb: Skip, What: "look", Key: c.Key}}
	l.d.about(r)
	say := func(v Verb, why, next string) (*ruleLook, error) {
		l.d.Verb, l.d.Why, l.d.Next = v, why, next
		return l, nil
	}
	site, _ := env.Config.Site(c.Host)
	did, err := rucio.ParseDID(c.Location)
	if !env.Site.Accepts(r.Name) {
		return say(Skip, fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name), "")
	}
	if err != nil {
		return say(Call, fmt.Sprintf("the record says %q, which is no DID", c.Location), "correct the location in the run database; cax status shows it")
	}
	why := "no rule of the rule file means it"
	for i := range t.requests {
		q := &t.requests[i]
		reason, ok := q.Selects(r)
		if ok {
			l.request = q
			break
		}
		why = reason
	}
	if l.request == nil {
		return say(Skip, "the rule file does not mean it: "+why, "")
	}
	if c.Claim != nil && env.liveness(c.Claim, now) == ownerAlive {
		return say(Wait, fmt.Sprintf("pid %d on %s is at it, last heard of %s ago", c.Claim.Owner.PID, c.Claim.Owner.Host, ago(now, c.Claim.Heartbeat)), "")
	}
	if err := env.outages.of(c.Host, env.Clock.elapsed()); err != nil {
		return say(Wait, fmt.Sprintf("%s failed a short while ago and is left alone for now: %v", c.Host, err), "")
	}
	client, err := env.catalogs.client(env, site)
	if err != nil {
		return nil, err
	}
	if l.found, err = lookUp(ctx, client, did); err != nil {
		env.outages.note(c.Host, err, env.Policy, env.Clock.elapsed())
		return nil, err
	}
	ask := l.request.ask(r, l.found)
	l.replicas = l.found.replicas(now, ask.at)
	l.status, l.wrong = l.found.verdict(c)
	if l.wrong != nil {
		return say(Do, l.wrong.Error(), "")
	}
	steps, waits := ask.steps(l.found, client.Account(), now, func(rse string) (string, bool) { return env.enoughWithout(r, c, l.replicas, rse, now) })
	l.steps = steps
	if kept := env.keeps(r); kept != "" && slices.ContainsFunc(steps, func(s ruleStep) bool { return s.do == "delete" }) {
		l.steps = slices.DeleteFunc(steps, func(s ruleStep) bool { return s.do == "delete" })
		waits = append(waits, "nothing of the run is deleted: "+kept)
	}
	if len(l.steps) > 0 {
		var all []string
		for _, s := range l.steps {
			all = append(all, s.String())
		}
		l.d.What = "change rules"
		return say(Do, strings.Join(append(all, waits...), "; "), "")
	}
	if news := l.news(c, now); news != "" {
		return say(Do, strings.Join(append([]string{news}, waits...), "; "), "")
	}
	if len(waits) > 0 {
		return say(Wait, strings.Join(waits, "; "), "")
	}
	return say(Skip, "the catalogue has it as the record says: "+strings.Join(c.RuleInfo, ", "), "")
}

// news says what is different from the record, or that the record is old; "" if nothing.
func (l *ruleLook) news(c *rundb.Copy, now time.Time) string {
	was := map[string]rundb.Replica{}
	for _, p := range c.Replicas {
		was[p.RSE] = p
	}
	var changes []string
	for _, p := range l.replicas {
		o, ok := was[p.RSE]
		delete(was, p.RSE)
		o.CheckedAt = p.CheckedAt
		if !ok || o.Rule != p.Rule || o.State != p.State || o.Files != p.Files || o.Text != p.Text || !o.ExpiresAt.Truncate(time.Second).Equal(p.ExpiresAt.Truncate(time.Second)) {
			changes = append(changes, describe(p, l.found.files))
		}
	}
	for rse := range was {
		changes = append(changes, "nothing is at "+rse+" any more")
	}
	slices.Sort(changes)
	if len(changes) > 0 {
		return strings.Join(changes, "; ")
	}
	if now.Sub(c.VerifiedAt) > lookWhole {
		return "it was not looked at for a day"
	}
	return ""
}

// describe says in a few words what is at an RSE.
func describe(p rundb.Replica, files int64) string {
	state := "no rule"
	if p.Rule != "" {
		state = "rule " + p.State
	}
	s := fmt.Sprintf("%s: %s, %d of %d files", p.RSE, state, p.Files, files)
	if !p.ExpiresAt.IsZero() {
		s += ", until " + p.ExpiresAt.UTC().Format(time.DateTime) + " UTC"
	}
	if p.State != "OK" && p.Text != "" {
		s += " (" + p.Text + ")"
	}
	return s
}

// enoughWithout reports whether the minimum of good copies is left when one RSE is gone,
// and if not what is there. Replicas are what was just found.
func (e *Env) enoughWithout(r *rundb.Run, c *rundb.Copy, replicas []rundb.Replica, rse string, now time.Time) (string, bool) {
	site, ok := e.Config.Site(c.Host)
	if !ok {
		return "its host is no site of the configuration", false
	}
	run := *r
	run.Data = slices.Clone(r.Data)
	for i := range run.Data {
		if o := &run.Data[i]; o.Key == c.Key {
			o.VerifiedAt = now
			o.Replicas = slices.DeleteFunc(slices.Clone(replicas), func(p rundb.Replica) bool { return p.RSE == rse })
		}
	}
	t := e.tally(&run, rundb.Key{Type: c.Type, Version: c.Version}, e.minimum(site, c.Type), now)
	return t.String(), t.Enough()
}

// run looks again, changes the rules, and writes down what there is then.
func (t ruleTask) run(ctx context.Context, env *Env, id rundb.ID, k rundb.Key) error {
	r, err := env.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return err
	}
	c, ok := r.Copy(k)
	if !ok || c.Status != rundb.Transferred {
		return ErrNotNeeded
	}
	l, err := t.look(ctx, env, r, &c, now)
	switch {
	case err != nil:
		return err
	case l.d.Verb != Do:
		return ErrNotNeeded
	case len(l.steps) == 0 && c.Claim == nil:
		return t.note(ctx, env, r, &c, l, now)
	}
	guards := rundb.Guards{}
	if slices.ContainsFunc(l.steps, func(s ruleStep) bool { return s.do == "delete" }) {
		// Nobody is deleting a copy who may count on the one that goes here.
		guards.Forbid = []rundb.CopyMatch{{Types: []rundb.Type{c.Type}, Versions: []string{c.Version}, Statuses: []rundb.Status{rundb.Purging}}}
	}
	held, err := env.Store.ReclaimIf(ctx, r.ID, c, rundb.Transferred, rundb.Claim{Kind: rundb.ClaimVerify, Owner: env.Owner}, guards)
	if errors.Is(err, rundb.ErrConflict) {
		return ErrNotNeeded
	}
	if err != nil {
		return err
	}
	w := &work{env: env, run: r, d: l.d, held: held, before: c.Error, keep: rundb.Transferred}
	return w.under(ctx, func(ctx context.Context, confirm func(context.Context) error) (rundb.Status, bson.D, error) {
		return t.change(ctx, w, &c, l, confirm)
	})
}

// change carries out the steps under a claim, and looks once more.
func (t ruleTask) change(ctx context.Context, w *work, c *rundb.Copy, l *ruleLook, confirm func(context.Context) error) (rundb.Status, bson.D, error) {
	env := w.env
	site, _ := env.Config.Site(c.Host)
	client, err := env.catalogs.client(env, site)
	if err != nil {
		return "", nil, err
	}
	for _, s := range l.steps {
		if err := confirm(ctx); err != nil {
			return "", nil, err
		}
		if s.do == "delete" {
			// From here on nobody counts what is there.
			left := slices.DeleteFunc(slices.Clone(l.replicas), func(p rundb.Replica) bool { return p.RSE == s.rse })
			if err := w.held.Set(ctx, bson.D{{Key: "replicas", Value: rundb.ReplicasBSON(left)}}); err != nil {
				return "", nil, err
			}
		}
		if err := s.carryOut(ctx, client, l.found.did); err != nil {
			return "", nil, err
		}
		w.event(ctx, "rule", s.String(), bson.D{{Key: "rse", Value: s.rse}, {Key: "rule", Value: s.id}})
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return "", nil, err
	}
	did := l.found.did
	if l.found, err = lookUp(ctx, client, did); err != nil {
		return "", nil, err
	}
	l.replicas = l.found.replicas(now, nil)
	l.status, l.wrong = l.found.verdict(c)
	set, err := l.fields(ctx, env, w.run, c, now)
	return l.status, set, err
}

// carryOut makes one change in the catalogue. One that was made already is none.
func (s ruleStep) carryOut(ctx context.Context, client *rucio.Client, did rucio.DID) error {
	var life *time.Duration
	if s.lifetime != Forever {
		life = &s.lifetime
	}
	switch s.do {
	case "add":
		_, err := client.AddRule(ctx, rucio.NewRule{DIDs: []rucio.DID{did}, RSEExpression: s.rse, Lifetime: life})
		if errors.Is(err, rucio.ErrExist) {
			return nil // somebody was faster
		}
		return err
	case "delete":
		err := client.DeleteRule(ctx, s.id, false)
		if errors.Is(err, rucio.ErrNotExist) {
			return nil
		}
		return err
	}
	return client.SetRuleLifetime(ctx, s.id, life)
}

// note writes down what was found, where nothing had to be changed.
func (t ruleTask) note(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, l *ruleLook, now time.Time) error {
	set, err := l.fields(ctx, env, r, c, now)
	if err != nil {
		return err
	}
	set = append(set, bson.E{Key: "status", Value: string(l.status)})
	if l.wrong != nil {
		set = append(set, bson.E{Key: "error", Value: env.Policy.failure(c.Error, l.wrong, now).BSON()})
	}
	if err := env.Store.CompareAndSet(ctx, r.ID, *c, set); err != nil {
		if errors.Is(err, rundb.ErrConflict) {
			return ErrNotNeeded
		}
		return err
	}
	if l.wrong != nil {
		env.event(ctx, r, c.Key, "lost", l.wrong.Error(), nil)
	} else if why := l.d.Why; len(c.Replicas) != len(l.replicas) || !slices.Equal(c.RuleInfo, l.ruleInfo(now)) {
		env.event(ctx, r, c.Key, "looked", why, nil)
	}
	return nil
}

func (l *ruleLook) ruleInfo(now time.Time) []string {
	_, info := l.found.original(l.replicas, now)
	return info
}

// fields are those of the record after a look. Files that were never compared with the
// dataset are, if there is a manifest: what other software uploaded counts from then on.
func (l *ruleLook) fields(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, now time.Time) (bson.D, error) {
	rse, info := l.found.original(l.replicas, now)
	set := bson.D{
		{Key: "rse", Value: rse}, {Key: "rule_info", Value: info},
		{Key: "replicas", Value: rundb.ReplicasBSON(l.replicas)},
		{Key: "files", Value: l.found.files}, {Key: "size", Value: l.found.bytes},
		{Key: "verified_at", Value: now},
	}
	if c.Content != "" || l.wrong != nil {
		return set, nil
	}
	m, err := env.Store.Manifest(ctx, rundb.ManifestKey{Run: r.ID, Type: c.Type, Version: c.Version})
	switch {
	case errors.Is(err, rundb.ErrNotExist):
		return set, nil
	case err != nil:
		return nil, err
	}
	content, err := l.found.content(m)
	if err == nil && content != "" {
		set = append(set, bson.E{Key: "content", Value: content})
	}
	return set, err
}
