package cax

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
)

// judge says what a survey means. It reads neither disks nor records.
func (s *survey) judge(e *Env) []Discrepancy {
	var all []Discrepancy
	for _, err := range s.unread {
		all = append(all, Discrepancy{Kind: Unreadable, Verb: Call, Why: err.Error(), Next: "mend the document; until then no stray is moved, since that run may name it"})
	}
	silent := map[*shelf]bool{}
	for _, p := range s.shelves {
		if f, ok := s.cannotJudge(e, p); ok {
			silent[p] = true
			all = append(all, f)
		}
	}
	for _, r := range s.records {
		if r.here {
			all = append(all, s.ofRecord(e, r, silent)...)
		}
	}
	named := s.named()
	for _, p := range s.shelves {
		refused := s.refusal(e, p, named)
		for _, i := range p.items {
			if f, ok := s.ofItem(e, p, i, named, refused); ok {
				f.Path, f.Bytes, f.Files, f.Changed, f.item = i.path, i.tree.bytes, i.tree.files, i.tree.changed, i
				all = append(all, f)
			}
		}
	}
	return all
}

// holds reports whether a path lies in the directory.
func (p *shelf) holds(location string) bool { return below(path.Clean(location), p.dir) }

// cannotJudge reports a directory of which nothing can be said although records
// lead there: it is not there, cannot be read, or shows nothing at all, as the place
// of a disk that is not mounted does.
func (s *survey) cannotJudge(e *Env, p *shelf) (Discrepancy, bool) {
	n := 0
	for _, r := range s.records {
		if r.here && settledStatus(r.copy.Status) && p.holds(r.copy.Location) {
			n++
		}
	}
	f := Discrepancy{Kind: Unmounted, Verb: Call, Path: p.dir, Next: "see that it is mounted; nothing in it is called lost until then"}
	if n == 0 && p.err != nil {
		f.Verb, f.Why = Skip, fmt.Sprintf("%v; no record leads there", p.err)
		f.Next = fmt.Sprintf("make the directory, or correct the configuration of %s", e.Site.Name)
		return f, true
	}
	if p.err != nil {
		f.Why = fmt.Sprintf("%v, and %d records lead there", p.err, n)
		return f, true
	}
	for _, i := range p.items {
		// What we left there ourselves shows that it is the right disk.
		if base := path.Base(i.path); !strings.HasPrefix(base, ".") || base == quarantineName || i.left.Kind != "" {
			return f, false
		}
	}
	f.Why = fmt.Sprintf("it holds no dataset, and %d records lead there", n)
	return f, n > 0
}

// ofRecord says what is wrong with a record of this site.
func (s *survey) ofRecord(e *Env, r *record, silent map[*shelf]bool) (fs []Discrepancy) {
	c := &r.copy
	about := Discrepancy{Path: c.Location, Bytes: r.extent.bytes, Files: r.extent.files, Changed: r.extent.changed,
		Run: r.run.ID, Number: r.run.Number, Name: r.run.Name, Key: c.Key, record: c}
	say := func(k DiscrepancyKind, v Verb, m Remedy, next, why string, args ...any) {
		f := about
		f.Kind, f.Verb, f.Remedy, f.Why, f.Next = k, v, m, fmt.Sprintf(why, args...), next
		fs = append(fs, f)
	}
	if r.twins != nil {
		v, m, next, why := s.ofTwins(r)
		say(Duplicate, v, m, next, "%s", why)
	}
	if c.Claim != nil {
		if s.liveness(c.Claim) == ownerAlive {
			return fs
		}
		holder := fmt.Sprintf("pid %d on %s, which had claimed it (%s), has ended or is silent", c.Claim.Owner.PID, c.Claim.Owner.Host, c.Claim.Kind)
		switch {
		case c.Claim.Kind == rundb.ClaimMove:
			say(HalfMoved, Do, SettleMove, "AddChecksum settles it too", "%s; it was on its way to %s", holder, c.Claim.Target)
		case c.Status != rundb.Purging:
			say(DeadClaim, Wait, "", "the task that makes or verifies the copy takes it over", "%s", holder)
		}
	}
	if c.Status == rundb.Purging {
		say(HalfDeleted, Wait, "", "EmptyTrash finishes it", "a deletion was begun and not finished")
	}
	if o := s.sharer(r); o != nil {
		say(Duplicate, Call, "", "delete the record that is wrong by hand", "%s (%s) has a record of the same place", o.run, o.copy.Key)
	}
	if c.Claim != nil || !settledStatus(c.Status) {
		return fs
	}
	if !c.InPlace && !e.Site.Contains(c.Location) {
		if e.Site.Dir(c.Type) == "" {
			return fs // of a sort that does not lie on this site's disks
		}
		say(Outside, Call, "", "correct the location in the run database, or the site's dir_* keys", "the location is outside the directories of %s", e.Site.Name)
		return fs
	}
	i := slices.IndexFunc(s.shelves, func(p *shelf) bool { return p.holds(c.Location) })
	if i < 0 && !c.InPlace || i >= 0 && silent[s.shelves[i]] {
		return fs
	}
	switch {
	case r.there == notKnown:
		say(Unreadable, Call, "", "see to the disk, and to permissions", "it could not be looked into")
	case r.there == absent && c.InPlace:
		say(Lost, Call, "", "see that its disk is mounted", "the record says %s, and nothing is there; it was registered outside the site's directories", c.Status)
	case r.there == absent:
		say(Lost, Do, MarkMissing, "then it is copied again from where a good copy is", "the record says %s, and nothing is there", c.Status)
	case c.Status == rundb.Transferred && (c.Size > 0 && c.Size != r.extent.bytes || c.Files > 0 && c.Files != r.extent.files):
		say(WrongSize, Do, ReadAgain, "AddChecksum then compares it with the manifest",
			"the record says %d files of %d bytes, there are %d of %d", c.Files, c.Size, r.extent.files, r.extent.bytes)
	}
	return fs
}

// sharer is another copy of this site with a record of the same place; nil if there
// is none.
func (s *survey) sharer(r *record) *record {
	for _, o := range s.at[path.Clean(r.copy.Location)] {
		if o != r && o.here {
			return o
		}
	}
	return nil
}

// ofTwins says what to do about several records of one copy. The one that stays is
// that which everybody uses.
func (s *survey) ofTwins(r *record) (v Verb, m Remedy, next, why string) {
	keep := &r.copy
	for i := range r.twins {
		t := &r.twins[i]
		switch {
		case path.Clean(t.Location) != path.Clean(keep.Location):
			return Call, "", "look at both, and delete one record by hand", fmt.Sprintf("%d records, at %s (%s) and at %s (%s)", len(r.twins), keep.Location, keep.Status, t.Location, t.Status)
		case t.Status == rundb.Transferred && t.Checksum != keep.Checksum && t.Checksum != "" && keep.Checksum != "":
			return Call, "", "verify it (cax verify), then delete the wrong record by hand", fmt.Sprintf("%d records of one place, with different checksums", len(r.twins))
		case t.Claim != nil && s.liveness(t.Claim) == ownerAlive:
			return Wait, "", "", fmt.Sprintf("%d records of one place, and pid %d on %s works on one", len(r.twins), t.Claim.Owner.PID, t.Claim.Owner.Host)
		}
	}
	return Do, DropRecord, fmt.Sprintf("the one that is %s stays", keep.Status), fmt.Sprintf("%d records of one place", len(r.twins))
}

// ofItem says what is wrong with something in a folder of datasets; false if
// nothing.
func (s *survey) ofItem(e *Env, p *shelf, i *item, named map[string]bool, refused string) (Discrepancy, bool) {
	base := path.Base(i.path)
	f := Discrepancy{Name: "", Key: rundb.Key{Type: p.typ, Version: i.version, Host: e.Site.Name}}
	if i.run != nil {
		f.Run, f.Number, f.Name, f.Key = i.run.ID, i.run.Number, i.run.Name, i.owner.Key
	}
	say := func(k DiscrepancyKind, v Verb, m Remedy, next, why string, args ...any) (Discrepancy, bool) {
		f.Kind, f.Verb, f.Remedy, f.Why, f.Next = k, v, m, fmt.Sprintf(why, args...), next
		return f, true
	}
	switch {
	case i.err != nil:
		return say(Unreadable, Call, "", "see to the disk, and to permissions", "%v", i.err)
	case base == recallName:
		return f, false // of copies from tape, which are looked at by themselves
	case base == quarantineName:
		return say(InQuarantine, Skip, "", "delete by hand what is not needed", "strays that were moved away")
	case i.left.Kind == transfer.Part:
		return s.ofPart(e, i, say)
	case i.left.Kind == transfer.Aside:
		return s.ofAside(e, i, say)
	case i.left.Kind == transfer.Trash && i.trash != nil && i.bare && s.knows(i.left.Claim):
		return f, false // a deletion begins
	case i.left.Kind == transfer.Trash && i.trash != nil && i.bare && len(s.unread) == 0 && s.any():
		return say(InTrash, Do, RemovePart, "", "a trash folder into which nothing was moved before its maker ended")
	case i.left.Kind == transfer.Trash && i.trash != nil:
		return say(InTrash, Call, "", "", "%v", i.trash)
	case i.left.Kind == transfer.Trash:
		return say(InTrash, Wait, "", "EmptyTrash unlinks it when its time is over", "it was deleted")
	case named[i.path] || p.foreign:
		return f, false
	case transfer.IsManifestName(base):
		if s.besideOf(p, i) {
			return f, false
		}
		return say(Hidden, Skip, "", "delete it if the dataset is not to come back", "a manifest without its dataset")
	case strings.HasPrefix(base, "."):
		return say(Hidden, Skip, "", "", "a hidden file that is not ours")
	}
	return s.ofStray(e, i, refused, &f, say)
}

// besideOf reports whether the dataset of a manifest file is there.
func (s *survey) besideOf(p *shelf, m *item) bool {
	return slices.ContainsFunc(p.items, func(i *item) bool {
		return path.Dir(i.path) == path.Dir(m.path) && transfer.ManifestName(path.Base(i.path)) == path.Base(m.path)
	})
}

type sayer func(k DiscrepancyKind, v Verb, m Remedy, next, why string, args ...any) (Discrepancy, bool)

func (s *survey) ofPart(e *Env, i *item, say sayer) (Discrepancy, bool) {
	if s.knows(i.left.Claim) {
		return Discrepancy{}, false
	}
	switch why := "staging of a claim that no record knows"; {
	case len(s.unread) > 0:
		return say(OrphanPart, Call, "", "", "%s; but not all records could be read", why)
	case !s.any():
		return say(OrphanPart, Call, "", "", "%s; but the run database names no copy of %s: is it the right one?", why, e.Site.Name)
	case !s.settled(e, i):
		return say(OrphanPart, Wait, "", "", "%s; it changed within %s", why, e.Policy.Settled)
	case s.goodHere(i.owner):
		return say(OrphanPart, Do, RemovePart, "", "%s; the dataset itself is here and good", why)
	default:
		return say(OrphanPart, Do, Quarantine, "", "%s; no good copy of its dataset is here", why)
	}
}

// knows reports whether a record here names a claim: as its own, or as one that
// left something in staging.
func (s *survey) knows(claim string) bool {
	return slices.ContainsFunc(s.records, func(r *record) bool {
		for _, c := range append([]rundb.Copy{r.copy}, r.twins...) {
			if c.Claim != nil && (c.Claim.ID == claim || slices.Contains(c.Claim.Left.Continue, claim) || slices.Contains(c.Claim.Left.Adopt, claim)) ||
				c.Error != nil && (slices.Contains(c.Error.Left.Continue, claim) || slices.Contains(c.Error.Left.Adopt, claim)) {
				return true
			}
		}
		return false
	})
}

// goodHere reports whether the copy is transferred, unclaimed, and there.
func (s *survey) goodHere(c *rundb.Copy) bool {
	if c == nil || c.Status != rundb.Transferred || c.Claim != nil {
		return false
	}
	return slices.ContainsFunc(s.records, func(r *record) bool {
		return r.copy.Key == c.Key && r.copy.Location == c.Location && r.there == present && (c.Size == 0 || c.Size == r.extent.bytes)
	})
}

// settled reports whether something has not changed for a while. What changed in
// the future has not.
func (s *survey) settled(e *Env, i *item) bool { return s.wall.Sub(i.tree.changed) >= e.Policy.Settled }

func (s *survey) ofAside(e *Env, i *item, say sayer) (Discrepancy, bool) {
	age := s.now.Sub(i.left.At)
	why := fmt.Sprintf("moved aside %s ago to make place", age.Round(time.Minute))
	switch {
	case i.owner == nil:
		return say(OldAside, Call, "", "look into it, and delete it by hand", "%s; no record says for what", why)
	case age < e.Policy.Trash:
		return say(OldAside, Wait, "", "", "%s; it is kept for %s", why, e.Policy.Trash)
	case !i.spare.Enough():
		return say(OldAside, Wait, "", "it is kept until there are", "%s; %s", why, i.spare)
	default:
		return say(OldAside, Do, RemovePart, "", "%s; %s", why, i.spare)
	}
}

func (s *survey) ofStray(e *Env, i *item, refused string, f *Discrepancy, say sayer) (Discrepancy, bool) {
	f.Refused = refused
	if !s.settled(e, i) {
		f.Refused = fmt.Sprintf("it changed within %s", e.Policy.Settled)
	}
	if m := i.source; m != nil {
		f.source, f.Run, f.Number, f.Name, f.Key = m, m.run.ID, m.run.Number, m.run.Name, m.key
		return say(Stray, Call, Adopt, "cax reconcile --adopt makes it a copy that AddChecksum verifies; cax stray --delete moves it away",
			"no record names it; its names and sizes are those of %s of %s, by %s", m.key.Type, &m.run, m.origin)
	}
	const why = "no record of any run names it"
	switch {
	case !s.settled(e, i):
		return say(Stray, Wait, "", "it is left alone until then", "%s; %s", why, f.Refused)
	case f.Refused != "":
		return say(Stray, Call, "", "", "%s; not moved: %s", why, f.Refused)
	}
	return say(Stray, Do, Quarantine, "", why)
}

// any reports whether the run database names a copy of this site.
func (s *survey) any() bool {
	return slices.ContainsFunc(s.records, func(r *record) bool { return r.here })
}

// refusal says why no stray of a directory is moved away; "" if they can be.
func (s *survey) refusal(e *Env, p *shelf, named map[string]bool) string {
	if len(s.unread) > 0 {
		return fmt.Sprintf("%d runs could not be read, which may name it", len(s.unread))
	}
	if !s.any() {
		return fmt.Sprintf("the run database names no copy of %s: is it the right one?", e.Site.Name)
	}
	var all, leaving int64
	for _, i := range p.items {
		base := path.Base(i.path)
		if strings.HasPrefix(base, ".") || i.err != nil {
			continue
		}
		all += i.tree.bytes
		if !named[i.path] && s.settled(e, i) {
			leaving += i.tree.bytes
		}
	}
	if leaving*10 > all {
		return fmt.Sprintf("%d of %d bytes in %s would go, more than a tenth", leaving, all, p.dir)
	}
	return ""
}
