package cax

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
)

// tapeLeft finds what was prepared for tape, or brought from there, and nobody will take:
// after a process that was killed, whose copy was then made by somebody else, or
// forgotten.
func (e *Env) tapeLeft(ctx context.Context) ([]Discrepancy, error) {
	var all []Discrepancy
	if dir := e.Site.DirTSM; dir != "" {
		es, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, d := range es {
			f, ok, err := e.ofStaged(ctx, path.Join(dir, d.Name()))
			if err != nil {
				return nil, err
			}
			if ok {
				all = append(all, f)
			}
		}
	}
	seen := map[string]bool{}
	for _, typ := range []rundb.Type{rundb.Raw, rundb.Processed} {
		area := path.Join(e.Site.Dir(typ), recallName)
		if e.Site.Dir(typ) == "" || seen[area] {
			continue
		}
		seen[area] = true
		if f, ok := e.ofRecall(ctx, area); ok {
			all = append(all, f)
		}
	}
	return all, nil
}

// found begins a finding about a path.
func (e *Env) found(ctx context.Context, p string) (f Discrepancy, settled bool) {
	f = Discrepancy{Kind: OrphanPart, Path: p, Key: rundb.Key{Type: rundb.Raw, Host: e.Site.Name}}
	i := &item{path: p}
	i.measure(ctx)
	f.Bytes, f.Files, f.Changed, f.item = i.tree.bytes, i.tree.files, i.tree.changed, i
	return f, i.err == nil && e.Clock.now().Sub(i.tree.changed) >= e.Policy.Settled
}

// ofStaged judges something in the folder in which data are prepared for tape.
func (e *Env) ofStaged(ctx context.Context, p string) (Discrepancy, bool, error) {
	f, settled := e.found(ctx, p)
	at := rundb.CopyMatch{Hosts: e.Config.tapes(e.Site), Location: p}
	if f.item.left.Kind == transfer.Part {
		at = rundb.CopyMatch{Hosts: e.Config.tapes(e.Site), ClaimID: f.item.left.Claim}
	}
	var owner *rundb.Copy
	for r, err := range e.Store.Find(ctx, &rundb.Query{Copies: []rundb.CopyMatch{at}}) {
		if err != nil {
			return f, false, err
		}
		f.Run, f.Number, f.Name = r.ID, r.Number, r.Name
		for c := range r.Copies(at) {
			owner = &c
			f.Key = c.Key
		}
	}
	say := func(v Verb, m Remedy, next, why string) (Discrepancy, bool, error) {
		f.Verb, f.Remedy, f.Next, f.Why = v, m, next, why
		return f, true, nil
	}
	switch {
	case f.item.err != nil:
		f.Kind = Unreadable
		return say(Call, "", "see to the disk, and to permissions", f.item.err.Error())
	case owner != nil && owner.Claim != nil:
		return f, false, nil // its holder, or who takes over, removes it
	case owner != nil && owner.Status != rundb.Transferred:
		return say(Wait, "", "the next try uses and removes it", fmt.Sprintf("prepared for a copy to tape that is %s", owner.Status))
	case !settled:
		return say(Wait, "", "", fmt.Sprintf("left of a copy to tape; it changed within %s", e.Policy.Settled))
	case f.item.left.Kind == transfer.Part:
		return say(Do, RemoveStaged, "", "brought back from tape to be compared, by a claim that no record knows")
	}
	if why := e.notStaged(f.item); why != "" {
		return say(Call, "", "look into it, and remove it by hand", why)
	}
	return say(Do, RemoveStaged, "", "prepared for tape, and what it was made from is here")
}

// notStaged says why a folder is not what is prepared for tape from a dataset that is
// here; "" if it is.
func (e *Env) notStaged(i *item) string {
	base := path.Base(i.path)
	for _, t := range e.Site.Types() {
		from := e.Site.Location(t, "", base)
		if from == "" {
			continue
		}
		es, err := os.ReadDir(i.path)
		if err != nil {
			return err.Error()
		}
		strange := ""
		for _, d := range es {
			own, ok := strings.CutPrefix(d.Name(), base+"_")
			st, err := os.Stat(path.Join(from, own))
			info, ierr := d.Info()
			if !d.IsDir() && (!ok || err != nil || ierr != nil || st.Size() != info.Size()) {
				strange = d.Name()
				break
			}
		}
		if strange == "" {
			return ""
		}
	}
	return "it is in the folder for tape, and no dataset here has its files"
}

// ofRecall judges the folder to which many datasets are brought at once.
func (e *Env) ofRecall(ctx context.Context, area string) (Discrepancy, bool) {
	if _, err := os.Lstat(area); err != nil {
		return Discrepancy{}, false
	}
	f, settled := e.found(ctx, area)
	unlock, ok := tryLock(area)
	if !ok {
		return f, false // a process brings something, or takes it
	}
	if f.item.err = unlock(); f.item.err != nil {
		return f, false
	}
	f.Verb, f.Why, f.Next = Wait, "brought from tape, and not taken yet", "the next download takes it"
	if settled {
		f.Verb, f.Remedy, f.Next = Do, RemoveStaged, ""
		f.Why = fmt.Sprintf("brought from tape, and not taken within %s", e.Policy.Settled)
	}
	return f, true
}

// tryLock takes the lock of a folder if it is free.
func tryLock(dir string) (unlock func() error, ok bool) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, false
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.Close()
		return nil, false
	}
	return d.Close, true
}

// removeStaged removes what tapeLeft found, if it still finds it.
func (e *Env) removeStaged(ctx context.Context, f *Discrepancy) (err error) {
	if path.Base(f.Path) == recallName {
		now, ok := e.ofRecall(ctx, f.Path)
		if !ok || now.Verb != Do {
			return ErrNotNeeded
		}
		unlock, ok := tryLock(f.Path)
		if !ok {
			return ErrNotNeeded
		}
		defer func() { err = errors.Join(err, unlock()) }()
		return removeAll(f.Path)
	}
	now, ok, err := e.ofStaged(ctx, f.Path)
	switch {
	case err != nil:
		return err
	case !ok || now.Verb != Do:
		return ErrNotNeeded
	case now.item.left.Kind == transfer.Part:
		return removeAll(f.Path)
	}
	return tsm.Unstage(f.Path, path.Base(f.Path))
}
