package ruciotest

import (
	"fmt"
	"os"
	"slices"
)

// Evaluate does what the judge-evaluator and the judge-injector do: rules get their locks
// for files that were attached later.
func (f *Fake) Evaluate() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		r.inject = false
		at := map[string]bool{}
		for l := range r.locks {
			at[l.rse] = true
		}
		files := f.below(f.dids[r.fakeName])
		var targets []*fakeRSE
		c := &call{f: f}
		names, no := c.expression(r.expression, 0)
		if no != nil {
			continue
		}
		for _, n := range names {
			if len(at) == 0 || at[n] {
				targets = append(targets, f.rse(n))
			}
		}
		slices.SortStableFunc(targets, func(a, b *fakeRSE) int { return f.have(files, b.Name) - f.have(files, a.Name) })
		f.lock(r, files, targets[:min(r.copies, len(targets))])
	}
}

// Clean does what the judge-cleaner does: rules that have ended go, and what no other
// rule keeps may be deleted.
func (f *Fake) Clean() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	var gone []*fakeRule
	f.rules = slices.DeleteFunc(f.rules, func(r *fakeRule) bool {
		if r.expires.IsZero() || now.Before(r.expires) {
			return false
		}
		gone = append(gone, r)
		return true
	})
	for _, r := range gone {
		for l := range r.locks {
			if !f.kept(l) {
				f.dids[l.fakeName].replicas[l.rse].released = true
			}
		}
	}
}

// kept reports whether a rule keeps a replica.
func (f *Fake) kept(l fakeLock) bool {
	return slices.ContainsFunc(f.rules, func(r *fakeRule) bool { return r.locks[l] != nil })
}

// Reap does what the reaper does: replicas that may be deleted go, with their files where
// the storage is a folder.
func (f *Fake) Reap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.dids {
		for name, rep := range d.replicas {
			if !rep.released {
				continue
			}
			r := f.rse(name)
			if !r.NonDeterministic {
				if err := os.Remove(r.Folder + "/" + r.path(d.fakeName)); err != nil && !os.IsNotExist(err) {
					f.t.Error(err)
				}
			}
			delete(d.replicas, name)
		}
	}
}

// Stick makes the lock of a rule on one file stuck, for a reason.
func (f *Fake) Stick(rule, scope, name, rse, reason string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if r.id == rule {
			if l := r.locks[fakeLock{fakeName{scope, name}, rse}]; l != nil {
				l.state, l.err = "STUCK", reason
				return
			}
		}
	}
	f.t.Fatalf("rule %s has no lock on %s:%s at %s", rule, scope, name, rse)
}

// SetReplica sets the state of a replica past all rules, "" removes it from the catalogue.
// It makes one where there is none, of a file that exists.
func (f *Fake) SetReplica(rse, scope, name, state string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.dids[fakeName{scope, name}]
	if d == nil {
		f.t.Fatalf("there is no %s:%s", scope, name)
	}
	if state == "" {
		delete(d.replicas, rse)
		return
	}
	if d.replicas[rse] == nil {
		d.replicas[rse] = &fakeReplica{}
	}
	d.replicas[rse].state = state
}

// SetChecksums sets what the catalogue has of a file; "" is unknown.
func (f *Fake) SetChecksums(scope, name string, bytes int64, adler32, md5 string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.dids[fakeName{scope, name}]
	if d == nil {
		f.t.Fatalf("there is no %s:%s", scope, name)
	}
	d.bytes, d.adler32, d.md5 = bytes, adler32, md5
}

// Attachments is how many members were ever added to a collection: more than it has
// members if some were attached twice.
func (f *Fake) Attachments(scope, name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.dids[fakeName{scope, name}]; d != nil {
		return d.attachments
	}
	return 0
}

// Orphans lists what no upload that came to its end leaves: replicas that are not
// available, and files in no dataset.
func (f *Fake) Orphans() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, d := range f.sortedDIDs(func(d *fakeDID) bool { return d.kind == "FILE" }) {
		if len(f.above(d.fakeName)) == 0 {
			all = append(all, d.String()+" is in no dataset")
		}
		for rse, rep := range d.replicas {
			if rep.state != "AVAILABLE" {
				all = append(all, fmt.Sprintf("%s is %s at %s", d, rep.state, rse))
			}
		}
	}
	return all
}
