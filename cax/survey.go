package cax

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
)

// A survey is what one look at this site's disks, and then at the run database,
// gave. judge says what it means.
type survey struct {
	shelves  []*shelf
	records  []*record
	at       map[string][]*record // by clean location
	unread   []error              // runs that could not be read: what they name is not known
	wall     time.Time            // this machine's clock, which times of files are compared with
	now      time.Time            // the database's
	liveness func(*rundb.Claim) liveness
}

// A shelf is one directory of the site that holds datasets.
type shelf struct {
	dir     string
	typ     rundb.Type
	err     error // why it cannot be judged: it is not there, or cannot be read
	foreign bool  // it is that of the minitrees or of the tape too
	items   []*item
}

// An item is one name in a folder that holds datasets.
type item struct {
	path    string
	version string // of the folder that it lies in
	tree    tree
	err     error // it could not be looked into

	left  transfer.Leftover // what its name says, if it is one of ours
	trash error             // why a trash folder cannot be read
	bare  bool              // a trash folder has no dataset in it
	owner *rundb.Copy       // for a leftover: the record of the dataset that it stood beside
	run   *rundb.Run        // and its run, where that was needed
	spare Tally             // for something moved aside: what is left of its run elsewhere

	source *manifestBeside // what a stray can be adopted from
}

// A tree is the extent of what lies at one path.
type tree struct {
	files, bytes int64
	changed      time.Time // of the newest file or folder
}

// A record is one copy at this site, or at one that shares its storage.
type record struct {
	run    *rundb.Run // without its document
	copy   rundb.Copy
	twins  []rundb.Copy // further records of the same key
	here   bool         // it is this site's
	there  presence
	item   *item
	extent tree
}

// A presence says whether something is there.
type presence int

const (
	notKnown presence = iota // it cannot be said
	present
	absent
)

// survey looks. It lists the disks before it reads records: a record is there
// before its dataset has its name, so that no new one passes for a stray; what a
// record names and no listing shows is then looked for once more.
func (e *Env) survey(ctx context.Context) (*survey, error) {
	s := &survey{wall: e.Clock.now()}
	if err := s.list(ctx, e); err != nil {
		return nil, err
	}
	var err error
	if s.now, err = e.Store.Now(ctx); err != nil {
		return nil, err
	}
	s.liveness = func(c *rundb.Claim) liveness { return e.liveness(c, s.now) }
	if err := s.read(ctx, e); err != nil {
		return nil, err
	}
	if err := s.open(ctx, e); err != nil {
		return nil, err
	}
	s.connect()
	for _, r := range s.records {
		if err := r.look(ctx, e.Site); err != nil {
			return nil, err
		}
	}
	return s, s.ask(ctx, e)
}

// sharing are the hosts whose records can name what lies here: this site, and those
// that are the same storage.
func (e *Env) sharing() []string {
	hosts := []string{e.Site.Name}
	for _, s := range e.Config.Sites {
		if s.Name != e.Site.Name && e.Config.SameStorage(s.Name, e.Site.Name) {
			hosts = append(hosts, s.Name)
		}
	}
	return hosts
}

// read reads the records of these hosts. A run that cannot be read is noted.
func (s *survey) read(ctx context.Context, e *Env) error {
	q := &rundb.Query{Copies: []rundb.CopyMatch{{Hosts: e.sharing()}}}
	for r, err := range e.Store.Find(ctx, q) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.unread = append(s.unread, err)
			continue
		}
		about := &rundb.Run{ID: r.ID, Number: r.Number, Name: r.Name, Detector: r.Detector}
		for c := range r.Copies(q.Copies[0]) {
			n := &record{run: about, copy: c, here: c.Host == e.Site.Name}
			for i := range r.Data {
				if r.Data[i].Key == c.Key {
					n.twins = append(n.twins, r.Data[i])
				}
			}
			if len(n.twins) == 1 {
				n.twins = nil
			}
			s.records = append(s.records, n)
		}
	}
	s.at = map[string][]*record{}
	for _, r := range s.records {
		if p := path.Clean(r.copy.Location); r.copy.Location != "" {
			s.at[p] = append(s.at[p], r)
		}
	}
	return nil
}

// connect finds the items that records name.
func (s *survey) connect() {
	at := map[string]*item{}
	for _, p := range s.shelves {
		for _, i := range p.items {
			at[i.path] = i
		}
	}
	for _, r := range s.records {
		r.item = at[path.Clean(r.copy.Location)]
	}
}

// look says whether the dataset of a record is there.
func (r *record) look(ctx context.Context, site *Site) error {
	if r.item != nil {
		r.there, r.extent = present, r.item.tree
		if r.item.err != nil {
			r.there = notKnown
		}
		return nil
	}
	if !r.here || !settledStatus(r.copy.Status) || !r.copy.InPlace && !site.Contains(r.copy.Location) {
		return nil
	}
	var err error
	switch r.extent, err = measureTree(ctx, r.copy.Location); {
	case err == nil:
		r.there = present
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		r.there = absent
	}
	return nil
}

// settledStatus reports whether a status says that the dataset is in its place.
func settledStatus(s rundb.Status) bool { return s == rundb.Transferred || s == rundb.Verifying }

// ask finds out what is needed about leftovers and strays: what stood beside them,
// how many copies are left elsewhere, and whether a stray could be adopted.
func (s *survey) ask(ctx context.Context, e *Env) error {
	beside := map[string]*record{}
	for _, r := range s.records {
		if old := beside[path.Clean(r.copy.Location)]; old == nil || !old.here {
			beside[path.Clean(r.copy.Location)] = r
		}
	}
	named := s.named()
	for _, p := range s.shelves {
		for _, i := range p.items {
			base := path.Base(i.path)
			if r := beside[path.Join(path.Dir(i.path), i.left.Base)]; r != nil && i.left.Kind != "" {
				i.owner, i.run = &r.copy, r.run
			}
			switch {
			case i.err != nil:
			case i.left.Kind == transfer.Trash:
				_, i.trash = openTrash(ctx, e.remotes.local(), i.path)
				_, err := os.Lstat(i.path + "/data")
				i.bare = errors.Is(err, fs.ErrNotExist)
			case i.left.Kind == transfer.Aside && i.owner != nil:
				r, err := e.Store.Get(ctx, i.run.ID)
				if err != nil {
					return err
				}
				k := i.owner.Key
				k.Host = e.Site.Name
				i.spare = e.tally(r, k, e.minimum(e.Site, k.Type), s.now)
			case !strings.HasPrefix(base, ".") && !named[i.path] && !p.foreign:
				var err error
				if i.source, err = e.adoptable(ctx, i, p.typ); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// names are the paths that records name: as the place of a copy, of a second record
// of it, or as where it is moved.
func (s *survey) names() map[string]bool {
	n := map[string]bool{}
	add := func(p string) {
		if p != "" {
			n[path.Clean(p)] = true
		}
	}
	for _, r := range s.records {
		add(r.copy.Location)
		for _, t := range r.twins {
			add(t.Location)
		}
		if c := r.copy.Claim; c != nil {
			add(c.Target)
		}
	}
	return n
}

// named are these paths, with all folders that hold them.
func (s *survey) named() map[string]bool {
	n := map[string]bool{}
	for p := range s.names() {
		for ; len(p) > 1 && !n[p]; p = path.Dir(p) {
			n[p] = true
		}
	}
	return n
}
