package cax

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
)

// String gives the decision on one line: task, verb, what, which copy, and why.
func (d Decision) String() string {
	s := fmt.Sprintf("%s: %s %s", d.Task, d.Verb, d.What)
	if d.Key.Type != "" { // else it is about the run
		s += fmt.Sprintf(" of %s", d.Key.Type)
	}
	if d.Key.Version != "" {
		s += " " + d.Key.Version
	}
	if d.From != "" {
		s += " from " + d.From + " to " + d.Key.Host
	} else {
		s += " at " + d.Key.Host
	}
	s += ": " + d.Why
	if !d.Until.IsZero() {
		s += ", not before " + d.Until.UTC().Format(time.DateTime) + " UTC"
	}
	if d.Next != "" {
		s += "; " + d.Next
	}
	return s
}

// MarshalJSON gives the decision as one object, as cax plan --json prints it. The
// fields of the copy have the names that they have in the run document.
func (d Decision) MarshalJSON() ([]byte, error) {
	var until *time.Time
	if !d.Until.IsZero() {
		t := d.Until.UTC()
		until = &t
	}
	return json.Marshal(struct {
		Task    string     `json:"task"`
		Verb    Verb       `json:"verb"`
		What    string     `json:"what"`
		Number  int64      `json:"number"`
		Name    string     `json:"name"`
		Type    rundb.Type `json:"type"`
		Version string     `json:"pax_version,omitempty"`
		Host    string     `json:"host"`
		From    string     `json:"from,omitempty"`
		Why     string     `json:"why"`
		Next    string     `json:"next,omitempty"`
		Until   *time.Time `json:"until,omitempty"`
	}{d.Task, d.Verb, d.What, d.Number, d.Name, d.Key.Type, d.Key.Version, d.Key.Host, d.From, d.Why, d.Next, until})
}

// Plan yields what the tasks of this site would do now, and why. With all it
// also yields decisions that nothing is to be done, for the runs that the tasks
// look at, or for the runs that were named. It only reads.
func (e *Env) Plan(ctx context.Context, all bool) iter.Seq2[Decision, error] {
	return func(yield func(Decision, error) bool) {
		for _, t := range e.tasks() {
			for _, src := range e.origins(ctx, t, e.considered(t, all)) {
				for a, err := range src.actions {
					if err == nil && a.Verb != Do && !all {
						continue
					}
					if !yield(a.Decision, err) {
						return
					}
				}
			}
		}
	}
}

// An origin yields actions of a task, those of one remote.
type origin struct {
	remote  string
	actions iter.Seq2[Action, error]
}

// origins are where the actions of a task come from: the runs of its candidates,
// each once, and this site's disks.
func (e *Env) origins(ctx context.Context, t Task, cs []Candidates) []origin {
	seen := map[rundb.ID]bool{}
	var all []origin
	for _, c := range cs {
		ends := bothEnds
		if e.NewestFirst {
			ends = newestFirst
		}
		all = append(all, origin{c.Remote, t.Plan(ctx, e, ends(ctx, e.Store, c.Query, seen))})
	}
	if l, ok := t.(Looker); ok && !e.Only.Named() {
		all = append(all, origin{"", l.Look(ctx, e)})
	}
	return all
}

// considered is what a task selects, or, to explain named runs, those runs.
func (e *Env) considered(t Task, all bool) []Candidates {
	if all && e.Only.Named() {
		var q rundb.Query
		e.Only.Narrow(&q)
		return []Candidates{{Query: q}}
	}
	cs := t.Select(e)
	for i := range cs {
		e.Only.Narrow(&cs[i].Query)
	}
	return cs
}

// An Explanation answers why a run is, or is not, at a host.
type Explanation struct {
	Host      string
	Type      rundb.Type
	Version   string
	Copy      *rundb.Copy // the record; nil if there is none
	Answer    string      // one sentence
	Next      string      // what happens next, or what a person can do
	Decisions []Decision  // of all sites that could bring it there, and of those that look after it
	Events    []rundb.Event
}

// Explain says for each type of data of a run why it is, or is not, at a host;
// an empty host means every site of the configuration that keeps that type. It
// looks at the whole configuration, not only at this site's tasks, and reads
// only.
func (e *Env) Explain(ctx context.Context, r *rundb.Run, host string) ([]Explanation, error) {
	now, err := e.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	var events []rundb.Event
	for ev, err := range e.Store.Events(ctx, r.ID) {
		if err != nil {
			return nil, err
		}
		events = append(events, ev)
	}
	var out []Explanation
	for _, k := range append(keysOf(r), e.couldMake(r, host)...) {
		for _, s := range e.Config.Sites {
			k.Host = s.Name
			if host != "" && s.Name != host {
				continue
			}
			c, ok := r.Copy(k)
			if host == "" && !ok && s.Dir(k.Type) == "" {
				continue
			}
			if !ok && madeFrom(k.Type) != "" && !slices.Contains(keysOf(r), rundb.Key{Type: k.Type, Version: k.Version}) && !s.makes(k) {
				continue
			}
			x := Explanation{Host: s.Name, Type: k.Type, Version: k.Version}
			if ok {
				x.Copy = &c
			}
			for _, ev := range events {
				if ev.Key == k {
					x.Events = append(x.Events, ev)
				}
			}
			x.Decisions, err = e.couldBring(ctx, r, k, s, now)
			if err != nil {
				return nil, err
			}
			var kept []Decision
			switch {
			case ok && c.Status == rundb.Transferred:
				kept, err = e.keeping(ctx, r, &c, s, now)
			case ok:
				var more []Decision
				more, err = e.couldFree(ctx, r, &c, s, now)
				x.Decisions = append(x.Decisions, more...)
			}
			if err != nil {
				return nil, err
			}
			x.conclude()
			x.concludeKept(kept)
			out = append(out, x)
		}
	}
	return out, nil
}

// keysOf lists type and version of all copies of a run, each once, no host.
func keysOf(r *rundb.Run) []rundb.Key {
	var ks []rundb.Key
	for i := range r.Data {
		k := rundb.Key{Type: r.Data[i].Type, Version: r.Data[i].Version}
		if !slices.Contains(ks, k) {
			ks = append(ks, k)
		}
	}
	return ks
}
