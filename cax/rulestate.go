package cax

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
)

// A catalogued dataset, as the catalogue has it at one moment. Replicas were counted
// file by file: counters of rules and datasets lag behind.
type cataloged struct {
	did       rucio.DID
	missing   bool              // the catalogue does not know it
	files     int64             // of the dataset
	bytes     int64             // of them
	available map[string]int64  // of files, by RSE
	lost      int64             // files that are nowhere, and on their way to nowhere
	adler32   map[string]string // of the files, by name
	rules     []rucio.Rule      // of all accounts
	keeps     map[string][]int  // by RSE, those of rules that keep it there
	why       map[string]string
}

// lookUp asks a catalogue what it has of a dataset.
func lookUp(ctx context.Context, c *rucio.Client, did rucio.DID) (*cataloged, error) {
	f := &cataloged{did: did, available: map[string]int64{}, adler32: map[string]string{}, keeps: map[string][]int{}, why: map[string]string{}}
	if _, err := c.DID(ctx, did); err != nil {
		if errors.Is(err, rucio.ErrNotExist) {
			f.missing = true
			return f, nil
		}
		return nil, err
	}
	// A list of replicas leaves out files of which there is none.
	there := map[string]bool{}
	for r, err := range c.Files(ctx, did) {
		if err != nil {
			return nil, err
		}
		f.files++
		f.bytes += max(0, r.Bytes)
		f.adler32[r.Name] = r.Adler32
		there[r.Name] = false
	}
	for r, err := range c.Replicas(ctx, rucio.ReplicaQuery{DIDs: []rucio.DID{did}, AllStates: true}) {
		if err != nil {
			return nil, err
		}
		if _, ok := there[r.Name]; !ok {
			continue // attached since
		}
		for rse, state := range r.States {
			switch state {
			case rucio.Available:
				f.available[rse]++
				there[r.Name] = true
			case rucio.Copying, rucio.TemporarilyUnavailable:
				there[r.Name] = true // or on its way
			}
		}
	}
	for _, ok := range there {
		if !ok {
			f.lost++
		}
	}
	for r, err := range c.RulesOf(ctx, did) {
		if err != nil {
			return nil, err
		}
		f.rules = append(f.rules, r)
	}
	for i := range f.rules {
		if err := f.place(ctx, c, i); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// place finds out at which RSEs a rule keeps the dataset: at the one that it names, or,
// where it has an expression, at those of its locks.
func (f *cataloged) place(ctx context.Context, c *rucio.Client, i int) error {
	r := &f.rules[i]
	if plainRSE(r.RSEExpression) {
		f.keeps[r.RSEExpression] = append(f.keeps[r.RSEExpression], i)
	} else {
		seen := map[string]bool{}
		for l, err := range c.Locks(ctx, r.ID) {
			if err != nil {
				return err
			}
			if !seen[l.RSE] {
				seen[l.RSE] = true
				f.keeps[l.RSE] = append(f.keeps[l.RSE], i)
			}
		}
	}
	if r.State == rucio.RuleOK {
		return nil
	}
	f.why[r.ID] = r.Error
	if r.Error == "" {
		f.why[r.ID] = fmt.Sprintf("%d of its files are there, %d on their way, %d stuck", r.LocksOK, r.LocksReplicating, r.LocksStuck)
	}
	return nil
}

// plainRSE reports whether an expression is the name of one RSE.
func plainRSE(expression string) bool {
	return expression != "" && !strings.ContainsFunc(expression, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// rule gives the rule that keeps the dataset at an RSE: an OK one before others, and of
// these the one that lives longest. With ours it is one of that account that names
// the RSE, which can be changed.
func (f *cataloged) rule(rse, ours string) (*rucio.Rule, bool) {
	var best *rucio.Rule
	for _, i := range f.keeps[rse] {
		r := &f.rules[i]
		if ours != "" && (r.Account != ours || r.RSEExpression != rse) {
			continue
		}
		if best == nil || better(r, best) {
			best = r
		}
	}
	return best, best != nil
}

func better(a, b *rucio.Rule) bool {
	if ok := a.State == rucio.RuleOK; ok != (b.State == rucio.RuleOK) {
		return ok
	}
	if a.ExpiresAt.IsZero() != b.ExpiresAt.IsZero() {
		return a.ExpiresAt.IsZero()
	}
	return a.ExpiresAt.After(b.ExpiresAt)
}

// ok reports whether an RSE has every file, kept by a rule that is OK at a time.
func (f *cataloged) ok(rse string, at time.Time) bool {
	r, ok := f.rule(rse, "")
	return ok && r.State == rucio.RuleOK && (r.ExpiresAt.IsZero() || r.ExpiresAt.After(at)) && f.files > 0 && f.available[rse] == f.files
}

// replicas says what was found at each RSE, by name. further RSEs are mentioned even if
// nothing is there.
func (f *cataloged) replicas(now time.Time, further []string) []rundb.Replica {
	rses := map[string]bool{}
	for rse := range f.available {
		rses[rse] = true
	}
	for rse := range f.keeps {
		rses[rse] = true
	}
	for _, rse := range further {
		rses[rse] = true
	}
	out := []rundb.Replica{}
	for _, rse := range slices.Sorted(maps.Keys(rses)) {
		p := rundb.Replica{RSE: rse, Files: f.available[rse], CheckedAt: now}
		if r, ok := f.rule(rse, ""); ok {
			p.Rule, p.State, p.ExpiresAt, p.Text = r.ID, string(r.State), r.ExpiresAt, f.why[r.ID]
		} else {
			p.Text = "no rule asks for it there"
		}
		if p.Text == "" && p.Files != f.files {
			p.Text = fmt.Sprintf("%d of %d files are there", p.Files, f.files)
		}
		out = append(out, p)
	}
	return out
}

// original gives the fields rse and rule_info as the original writes them: of each RSE
// that is OK its name, and until when the rule lives.
func (f *cataloged) original(replicas []rundb.Replica, now time.Time) (rse, info []string) {
	rse, info = []string{}, []string{}
	for _, p := range replicas {
		if !f.ok(p.RSE, now) {
			continue
		}
		until := "valid"
		if !p.ExpiresAt.IsZero() {
			until = p.ExpiresAt.UTC().Format(time.DateTime)
		}
		rse, info = append(rse, p.RSE), append(info, p.RSE+":"+until)
	}
	return rse, info
}

// checksum is that of the record, in the original's form: ":" and the adler32 of each
// file, ordered by name.
func (f *cataloged) checksum() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f.adler32)) {
		b.WriteString(":" + f.adler32[name])
	}
	return b.String()
}

// content compares the files with a dataset's manifest. It gives the sum of the dataset in
// the original's form, "" if they are others.
func (f *cataloged) content(m *checksum.Manifest) (string, error) {
	if int64(m.Files()) != f.files || m.Size() != f.bytes {
		return "", nil
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		sum := e.Sum(checksum.Adler32)
		if e.Dir || sum.IsZero() || !rucio.SameAdler32(f.adler32[e.Path], sum.Bare()) {
			return "", nil
		}
	}
	sum, err := m.LegacySum(checksum.SHA512)
	return sum.Bare(), err
}

// attested reports whether the record of a copy in a catalogue names exactly the files of
// a manifest, by the adler32 of each: where no other copy has a checksum, that is what is
// known of the dataset.
func attested(c *rundb.Copy, m *checksum.Manifest) bool {
	if !catalogued(c) || c.Checksum == "" {
		return false
	}
	var b strings.Builder
	for i := range m.Entries {
		if e := &m.Entries[i]; !e.Dir {
			sum := e.Sum(checksum.Adler32)
			if sum.IsZero() {
				return false
			}
			b.WriteString(":" + sum.Bare())
		}
	}
	return sameSums(c.Checksum, b.String())
}

// sameSums reports whether two checksums of records name the same files, whatever their
// order: the original's is that of its directory listing.
func sameSums(a, b string) bool {
	split := func(s string) []string {
		all := strings.Split(strings.TrimPrefix(s, ":"), ":")
		for i := range all {
			all[i] = cmp.Or(strings.TrimLeft(strings.ToLower(all[i]), "0"), "0")
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(split(a), split(b))
}
