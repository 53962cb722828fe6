package cax

import (
	"context"
	"fmt"
	"iter"
	"path"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
)

// copyTask is CopyPush and CopyPull: they differ in who is source and who is
// destination, and in nothing else. With heal it is the fetching again of a damaged
// copy of this site, for badChecksumTask.
type copyTask struct {
	push bool
	heal bool
	now  bool // somebody asked: a failure a short while ago does not matter

	// methods are those whose remotes this task serves; nil: all.
	methods []Method

	// path, if not "", is what is pushed in place of what the record names.
	path string

	// rse, if not "", is from where a catalogue's copy is pulled, in place of what the
	// site says.
	rse string
}

func (t copyTask) Name() string {
	switch {
	case t.push:
		return "CopyPush"
	case t.heal:
		return badChecksumTask{}.Name()
	}
	return "CopyPull"
}

// options are the remotes of this task, in the order of preference.
func (t copyTask) options(s *Site) []string {
	if t.push {
		return s.UploadOptions
	}
	return s.DownloadOptions
}

// ends gives source and destination of a copy between us and a remote.
func (t copyTask) ends(self, remote *Site) (from, to *Site) {
	if t.push {
		return self, remote
	}
	return remote, self
}

func (t copyTask) Select(env *Env) []Candidates {
	var cs []Candidates
	for _, typ := range env.Site.Types() {
		for _, name := range t.options(env.Site) {
			remote, ok := env.Config.Site(name)
			if !ok {
				continue
			}
			by := t.carrier(remote)
			from, to := t.ends(env.Site, remote)
			if by == nil || !by.keeps(to, typ) {
				continue
			}
			have := rundb.CopyMatch{
				Types:    []rundb.Type{typ},
				Hosts:    []string{from.Name},
				Statuses: []rundb.Status{rundb.Transferred},
				Versions: env.Site.versions(typ),
			}
			unfinished := rundb.CopyMatch{
				Types:    have.Types,
				Hosts:    []string{to.Name},
				Statuses: append(by.statuses(), rundb.Failed, rundb.Transferring),
				Versions: have.Versions,
			}
			if to.verifiedByPusher() {
				unfinished.Statuses = append(unfinished.Statuses, rundb.Verifying)
			}
			fresh, again := rundb.Query{Names: env.Site.DatasetList}, rundb.Query{Names: env.Site.DatasetList}
			fresh.Missing, fresh.From = &rundb.Missing{Have: have, At: to.Name}, youngerThan(env, to, typ)
			again.Copies = []rundb.CopyMatch{have, unfinished}
			cs = append(cs, Candidates{fresh, remote.Name}, Candidates{again, remote.Name})
		}
	}
	return cs
}

// youngerThan is a time before which no run has started that may be copied to a site,
// so that a query need not find all those that a purge has made room for. It leaves a
// day for clocks that differ; decide looks at the run itself.
func youngerThan(env *Env, to *Site, typ rundb.Type) time.Time {
	if typ != rundb.Raw || to.Purge == nil || env.Only.Named() {
		return time.Time{}
	}
	return env.Clock.now().Add(-time.Duration(*to.Purge+1) * 24 * time.Hour)
}

func (t copyTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		now, err := env.Store.Now(ctx)
		if err != nil {
			yield(Action{}, err)
			return
		}
		for r, err := range runs {
			if err != nil {
				if !yield(Action{}, err) {
					return
				}
				continue
			}
			for _, a := range t.planRun(env, r, now) {
				if !yield(a, nil) {
					return
				}
			}
		}
	}
}

// planRun decides about one run: for each type and version, remotes are looked
// at in order of preference, and after the first that fits no further one.
func (t copyTask) planRun(env *Env, r *rundb.Run, now time.Time) []Action {
	var actions []Action
	for _, typ := range env.Site.Types() {
		for _, v := range versionsOf(r, typ, env.Site.versions(typ)) {
			k := rundb.Key{Type: typ, Version: v}
			for _, name := range t.ordered(env, r, k) {
				remote, ok := env.Config.Site(name)
				if !ok {
					continue
				}
				d := t.decide(env, r, k, remote, now)
				a := Action{Decision: d, remote: remote.Name}
				if d.Verb == Do {
					a.apply = func(ctx context.Context) error { return t.run(ctx, env, r.ID, k, remote) }
				}
				actions = append(actions, a)
				if d.Verb == Do {
					break
				}
			}
		}
	}
	return actions
}

// ordered is the order in which remotes are looked at. A pull that failed is
// tried from another source the next time, where there is one.
func (t copyTask) ordered(env *Env, r *rundb.Run, k rundb.Key) []string {
	names := t.options(env.Site)
	if t.push || len(names) < 2 {
		return names
	}
	k.Host = env.Site.Name
	mine, ok := r.Copy(k)
	if !ok || mine.Error == nil || mine.Error.Tries == 0 {
		return names
	}
	var good, rest []string
	for _, n := range names {
		if c, ok := r.Copy(rundb.Key{Type: k.Type, Version: k.Version, Host: n}); ok && c.Status == rundb.Transferred {
			good = append(good, n)
		} else {
			rest = append(rest, n)
		}
	}
	if len(good) == 0 {
		return names
	}
	i := mine.Error.Tries % len(good)
	return slices.Concat(good[i:], good[:i], rest)
}

// versionsOf lists the versions in which a run has copies of a type, restricted
// to those wanted where wanted is not nil.
func versionsOf(r *rundb.Run, typ rundb.Type, wanted []string) []string {
	var vs []string
	for i := range r.Data {
		v := r.Data[i].Version
		if r.Data[i].Type == typ && !slices.Contains(vs, v) && (wanted == nil || slices.Contains(wanted, v)) {
			vs = append(vs, v)
		}
	}
	slices.Sort(vs)
	return vs
}

// decide says what to do about one copy between this site and a remote. It
// looks at the run, the configuration and the time only.
func (t copyTask) decide(env *Env, r *rundb.Run, k rundb.Key, remote *Site, now time.Time) Decision {
	from, to := t.ends(env.Site, remote)
	d := Decision{Task: t.Name(), Verb: Skip, What: "copy", From: from.Name,
		Key: rundb.Key{Type: k.Type, Version: k.Version, Host: to.Name}}
	d.about(r)
	say := func(v Verb, why, next string) Decision {
		d.Verb, d.Why, d.Next = v, why, next
		return d
	}

	if !env.Site.Accepts(r.Name) {
		return say(Skip, fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name), "")
	}
	by := t.carrier(remote)
	if by == nil {
		return say(Skip, t.unserved(remote), "")
	}
	src, ok := r.Copy(rundb.Key{Type: k.Type, Version: k.Version, Host: from.Name})
	switch {
	case !ok:
		return say(Skip, fmt.Sprintf("%s has no %s copy", from.Name, k.Type), "")
	case src.Status != rundb.Transferred && !(t.heal && partial(&src)):
		return say(Wait, fmt.Sprintf("the copy at %s is %s, not transferred", from.Name, src.Status), "")
	case !src.InPlace && !by.holds(env, from, src.Location):
		return say(Call, fmt.Sprintf("the record of %s says %q, which is outside the directories of that site", from.Name, src.Location),
			"correct the location in the run database, or the site's dir_* keys")
	case !by.keeps(to, k.Type):
		return say(Skip, fmt.Sprintf("%s has no directory for %s data", to.Name, k.Type),
			fmt.Sprintf("set dir_%s of %s if it should get them", k.Type, to.Name))
	case by.place(env, to, r, &src) == "":
		return say(Call, fmt.Sprintf("%q cannot be the name of a dataset at %s", path.Base(src.Location), to.Name),
			fmt.Sprintf("rename the dataset at %s, and its record with it", from.Name))
	}
	dst, ok := r.Copy(d.Key)
	if !ok && k.Type == rundb.Raw && to.Purge != nil && !env.Only.Named() && !t.now {
		age := now.Sub(r.Start)
		if limit := time.Duration(*to.Purge) * 24 * time.Hour; age > limit {
			return say(Skip, fmt.Sprintf("the run is %d days old and %s purges raw data after %d", int(age.Hours()/24), to.Name, *to.Purge),
				"name the run with --run to copy it all the same")
		}
	}
	if err := env.outages.of(remote.Name, env.Clock.elapsed()); err != nil && (!ok || dst.Status != rundb.Transferred) {
		return say(Wait, fmt.Sprintf("%s failed a short while ago and is left alone for now: %v", remote.Name, err), "")
	}
	if !ok {
		return say(Do, fmt.Sprintf("%s has a good copy and %s has none", from.Name, to.Name), "")
	}
	switch dst.Status {
	case rundb.Transferred:
		return say(Skip, fmt.Sprintf("%s has a good copy already", to.Name), "")
	case rundb.Verifying:
		if to.verifiedByPusher() && t.push && dst.Claim == nil {
			d.What = "verify"
			return say(Do, fmt.Sprintf("the copy at %s is complete and has to be verified from here", to.Name), "")
		}
		return say(Wait, fmt.Sprintf("the copy at %s is complete and waits to be verified there", to.Name),
			fmt.Sprintf("the daemon of %s does it; see that it runs", to.Name))
	case rundb.RSEReupload:
		if dst.Error == nil {
			d.What = "retry"
			return say(Do, fmt.Sprintf("%s asks for the upload to be repeated", to.Name), "")
		}
		fallthrough
	case rundb.Failed, rundb.Abandoned, rundb.RSEQuota:
		if why, ok := disputed(env.Config, r, d.Key); ok {
			d.What = "repair"
			return say(Call, why, settle)
		}
		if dst.Error == nil && (t.push && remote.faraway() || remote.tape() && dst.Location == noPlace) {
			d.What = "retry"
			return say(Do, fmt.Sprintf("the copy at %s was left as an error by other software, and has no files here", to.Name), "")
		}
		if dst.Error == nil {
			return say(Wait, fmt.Sprintf("the copy at %s was left as an error by other software", to.Name),
				fmt.Sprintf("RetryStalledTransfer of %s frees it when its files have not grown for %s", to.Name, inWords(env.Policy.StalledAfter)))
		}
		d.What = "retry"
		if !t.now && !env.Only.Named() && !env.Policy.due(dst.Error, now) {
			d.Until = dst.Error.NextTry
			return say(Wait, fmt.Sprintf("try %d failed (%s): %s", dst.Error.Tries, dst.Error.Class, dst.Error.Text),
				"name the run with --run to try at once")
		}
		return say(Do, fmt.Sprintf("the copy at %s failed (%s) and is due again", to.Name, dst.Error.Class), "")
	case rundb.Transferring:
		return t.decideClaimed(env, d, &dst, to, now)
	}
	return say(Skip, fmt.Sprintf("the copy at %s is %s", to.Name, dst.Status), "")
}

// decideClaimed decides about a copy that is under way.
func (t copyTask) decideClaimed(env *Env, d Decision, dst *rundb.Copy, to *Site, now time.Time) Decision {
	say := func(v Verb, why, next string) Decision {
		d.Verb, d.Why, d.Next = v, why, next
		return d
	}
	c := dst.Claim
	if c == nil && t.push && to.faraway() && !dst.Created.IsZero() && now.Sub(dst.Created) >= env.Policy.StalledAfter {
		// No task can look at files of it: there are none but those on tape or in the catalogue, which stay.
		d.What = "take over"
		return say(Do, fmt.Sprintf("the copy at %s was begun %s ago by software that holds no claim", to.Name, inWords(now.Sub(dst.Created))), "")
	}
	if c == nil && t.push && to.faraway() {
		d.Until = dst.Created.Add(env.Policy.StalledAfter)
		return say(Wait, fmt.Sprintf("the copy at %s is under way by software that holds no claim", to.Name), fmt.Sprintf("it is begun anew %s after its begin", inWords(env.Policy.StalledAfter)))
	}
	if c == nil {
		return say(Wait, fmt.Sprintf("the copy at %s is under way by software that holds no claim", to.Name),
			fmt.Sprintf("RetryStalledTransfer frees it when its files have not grown for %s", inWords(env.Policy.StalledAfter)))
	}
	who := fmt.Sprintf("pid %d on %s for %s", c.Owner.PID, c.Owner.Host, c.Owner.Site)
	entitled := c.Owner.Site == env.Site.Name ||
		to == env.Site && now.Sub(c.Heartbeat) >= env.Policy.OthersTakeOver
	if !entitled {
		return say(Wait, fmt.Sprintf("the copy is under way by %s, last heard of %s ago", who, ago(now, c.Heartbeat)), "")
	}
	d.What = "take over"
	switch l := env.liveness(c, now); l {
	case ownerGone:
		return say(Do, fmt.Sprintf("the copy was under way by %s, which has ended", who), "")
	case ownerSilent:
		return say(Do, fmt.Sprintf("the copy was under way by %s, which has been silent for too long (last heard of %s ago)", who, ago(now, c.Heartbeat)), "")
	default:
		return say(Wait, fmt.Sprintf("the copy is under way by %s, last heard of %s ago", who, ago(now, c.Heartbeat)), "")
	}
}

func ago(now, then time.Time) time.Duration {
	return max(0, now.Sub(then)).Round(time.Second)
}

// A liveness is what can be said of a claim's owner.
type liveness int

const (
	ownerAlive  liveness = iota // or not known to be otherwise
	ownerGone                   // a process of this machine that has ended
	ownerSilent                 // no heartbeat for so long that the claim may be taken over
)

func (e *Env) liveness(c *rundb.Claim, now time.Time) liveness {
	if c.Kind == rundb.ClaimProcess && c.Job != "" {
		return ownerAlive // a job is alive until the batch system says otherwise: see processTask
	}
	if gone(c.Owner, e.Owner) {
		return ownerGone
	}
	unchanged := e.observed.unchangedFor(c, e.Clock.elapsed())
	if e.Once {
		// A single cycle cannot wait and see: heartbeats and now are both of the
		// database server's clock.
		if now.Sub(c.Heartbeat) >= e.Policy.OnceExpired {
			return ownerSilent
		}
		return ownerAlive
	}
	if unchanged >= e.Policy.LeaseExpired {
		return ownerSilent
	}
	return ownerAlive
}

// carrier gives who moves bytes between this site and a remote; nil if this task
// does not serve its method.
func (t copyTask) carrier(remote *Site) carrier {
	if t.methods != nil && !slices.Contains(t.methods, remote.Method) {
		return nil
	}
	if remote.Method == MethodTSM && !remote.tape() {
		return nil
	}
	return carrierOf(remote.Method)
}

// unserved says why a remote has no carrier.
func (t copyTask) unserved(remote *Site) string {
	if remote.Method == MethodTSM && !remote.tape() {
		return fmt.Sprintf("%s has the method %q and is no tape server: it copies to tape itself", remote.Name, remote.Method)
	}
	if carrierOf(remote.Method) == nil {
		return fmt.Sprintf("%s has the method %q, by which nothing can be copied", remote.Name, remote.Method)
	}
	return fmt.Sprintf("copies by the method %q of %s are made by another program", remote.Method, remote.Name)
}
