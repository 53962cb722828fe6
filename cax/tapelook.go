package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
)

// A taped dataset is what tape has of one, held against what it should have.
type taped struct {
	location string
	backup   bool         // it is a backup and no archive copy
	rows     []tsm.Object // below the location, those of its archive run if that is known
	all      []tsm.Object // rows, and those of other archive runs of the same paths
	prefix   string       // that its files have there; "": their own names
	files    []tapedFile  // those of the manifest; without one, all that is there
	missing  []tsm.Difference
	known    bool // there is a manifest
}

// A tapedFile is a file of a dataset, and what it is called on tape.
type tapedFile struct {
	path  string          // in the dataset
	entry *checksum.Entry // nil without a manifest
	tsm.File
}

// onTape turns rows of queries into what they say about a dataset. m may be nil. A set
// that the original wrote is called RUN_FILE there; the naming that leaves the least open
// is taken.
func onTape(location, run, description string, m *checksum.Manifest, archive, backup []tsm.Object) *taped {
	best := &taped{location: location, known: m != nil}
	if m != nil {
		best.files = tapeFiles(location, "", m)
		best.missing = tsm.Uncovered(filesOf(best.files), nil)
	}
	for _, s := range []struct {
		rows, all []tsm.Object
		backup    bool
	}{{described(archive, description), archive, false}, {backup, backup, true}} {
		for _, prefix := range []string{path.Base(location), run, ""} {
			t := &taped{location: location, backup: s.backup, rows: s.rows, all: s.all, prefix: prefix, known: m != nil}
			switch {
			case len(s.rows) == 0:
				continue
			case m != nil:
				t.files = tapeFiles(location, prefix, m)
				t.missing = tsm.Uncovered(filesOf(t.files), s.rows)
			case !t.guess():
				continue
			}
			if best.rows == nil || t.lacks() < best.lacks() {
				best = t
			}
		}
	}
	return best
}

// lacks tells how far the dataset is from being on tape. A backup that will expire is
// better than none.
func (t *taped) lacks() int {
	n := 0
	for _, d := range t.missing {
		if n += 2; d.Kind == tsm.Inactive {
			n--
		}
	}
	return n
}

// guess makes the files of a dataset without a manifest from what is there. It reports
// false if not every file has the prefix.
func (t *taped) guess() bool {
	seen := map[string]bool{}
	for _, o := range t.rows {
		if seen[o.Path] {
			continue
		}
		seen[o.Path] = true
		rel, below := strings.CutPrefix(o.Path, t.location+"/")
		if !below {
			rel = path.Base(t.location) // a single file
		} else if t.prefix != "" {
			dir, base := path.Split(rel)
			own, ok := strings.CutPrefix(base, t.prefix+"_")
			if !ok || own == "" {
				return false
			}
			rel = dir + own
		}
		t.files = append(t.files, tapedFile{path: rel, File: tsm.File{Path: o.Path, Size: o.Size}})
	}
	slices.SortFunc(t.files, func(a, b tapedFile) int { return strings.Compare(a.Path, b.Path) })
	return true
}

// tapeFiles are the files of a manifest as tape should have them.
func tapeFiles(location, prefix string, m *checksum.Manifest) []tapedFile {
	var out []tapedFile
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Dir {
			continue
		}
		at := location
		if !m.Single {
			dir, base := path.Split(e.Path)
			if prefix != "" {
				base = prefix + "_" + base
			}
			at = location + "/" + dir + base
		}
		out = append(out, tapedFile{path: e.Path, entry: e, File: tsm.File{Path: at, Size: e.Size}})
	}
	return out
}

func filesOf(ts []tapedFile) []tsm.File {
	out := make([]tsm.File, len(ts))
	for i := range ts {
		out[i] = ts[i].File
	}
	return out
}

func pathsOf(ts []tapedFile) []string {
	out := make([]string, len(ts))
	for i := range ts {
		out[i] = ts[i].Path
	}
	return out
}

func bytesOf(ts []tapedFile) (n int64) {
	for i := range ts {
		n += ts[i].Size
	}
	return n
}

// A lookedFor dataset is one that tape is asked for.
type lookedFor struct {
	copy     *rundb.Copy
	run      string
	manifest *checksum.Manifest // nil: not known
}

// lookAll asks for the datasets that are to be fetched.
func (d *tapeDrive) lookAll(ctx context.Context, env *Env, wants []wantedCopy) ([]*taped, error) {
	var all []lookedFor
	for i := range wants {
		w := &wants[i]
		m, err := env.Store.Manifest(ctx, rundb.ManifestKey{Run: w.run.ID, Type: w.copy.Type, Version: w.copy.Version})
		if err != nil && !errors.Is(err, rundb.ErrNotExist) && !errors.Is(err, rundb.ErrInvalid) {
			return nil, err
		}
		all = append(all, lookedFor{&w.copy, w.run.Name, m})
	}
	return d.lookMany(ctx, all)
}

// lookMany asks for archive copies of many datasets, and for backups of those of which
// these are not all.
func (d *tapeDrive) lookMany(ctx context.Context, all []lookedFor) ([]*taped, error) {
	places := func(which func(int) bool) map[string]bool {
		at := map[string]bool{}
		for i, l := range all {
			if which(i) {
				at[path.Clean(l.copy.Location)] = true
			}
		}
		return at
	}
	// Of all archive runs: that there are others tells how a file has to be asked for.
	archive, err := askMany(ctx, places(func(int) bool { return true }), d.client.QueryArchive)
	if err != nil {
		return nil, err
	}
	out := make([]*taped, len(all))
	rest := map[int]bool{}
	for i, l := range all {
		at := path.Clean(l.copy.Location)
		out[i] = onTape(at, l.run, l.copy.Archive, l.manifest, archive[at], nil)
		rest[i] = l.copy.Archive == "" && (out[i].rows == nil || len(out[i].missing) > 0)
	}
	backup, err := askMany(ctx, places(func(i int) bool { return rest[i] }), d.client.QueryBackup)
	if err != nil {
		return nil, err
	}
	for i, l := range all {
		if at := path.Clean(l.copy.Location); rest[i] {
			out[i] = onTape(at, l.run, "", l.manifest, archive[at], backup[at])
		}
	}
	return out, nil
}

// described picks the rows of one archive run; all if none is named.
func described(rows []tsm.Object, description string) []tsm.Object {
	if description == "" {
		return rows
	}
	var out []tsm.Object
	for _, o := range rows {
		if o.Description == description {
			out = append(out, o)
		}
	}
	return out
}

// together is how many datasets of one folder are asked for by one query of that folder,
// and not one by one.
const together = 8

// askMany asks for the rows below many places, by place.
func askMany(ctx context.Context, places map[string]bool, ask func(context.Context, tsm.Query) ([]tsm.Object, error)) (map[string][]tsm.Object, error) {
	out := map[string][]tsm.Object{}
	folders := map[string][]string{}
	for at := range places {
		folders[path.Dir(at)] = append(folders[path.Dir(at)], at)
	}
	for folder, ats := range folders {
		if len(ats) < together {
			for _, at := range ats {
				rows, err := ask(ctx, tsm.Query{Path: at})
				if err != nil {
					return nil, err
				}
				out[at] = rows
			}
			continue
		}
		rows, err := ask(ctx, tsm.Query{Path: folder})
		if err != nil {
			return nil, err
		}
		for _, o := range rows {
			for at := o.Path; len(at) > len(folder); at = path.Dir(at) {
				if places[at] {
					out[at] = append(out[at], o)
					break
				}
			}
		}
	}
	return out, ctx.Err()
}

// gaps is the error of a dataset that is not on tape as it should be; nil if it is.
func (t *taped) gaps(host string) error {
	if len(t.missing) == 0 {
		return nil
	}
	kind := transfer.ErrNotExist
	var what []string
	for _, d := range t.missing {
		if d.Kind == tsm.Size {
			kind = transfer.ErrCorrupt
		}
		if len(what) < 3 {
			what = append(what, fmt.Sprintf("%s is %s", transfer.Quote(d.Path), tapeWords(d.Kind)))
		}
	}
	text := strings.Join(what, ", ")
	if n := len(t.missing) - len(what); n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	return &transfer.Error{Op: "query", Place: host, Path: t.location, Kind: kind, Err: fmt.Errorf("%d of %d files are not on tape as they should be: %s", len(t.missing), len(t.files), text)}
}

func tapeWords(k tsm.DifferenceKind) string {
	switch k {
	case tsm.Size:
		return "there with another size"
	case tsm.Inactive:
		return "a backup that will expire"
	}
	return "missing"
}

// restorable tells which of the files that are missing in the sense of a good copy can
// still be brought: inactive backups can.
func (t *taped) restorable() error {
	var worse []tsm.Difference
	for _, d := range t.missing {
		if d.Kind != tsm.Inactive {
			worse = append(worse, d)
		}
	}
	o := *t
	o.missing = worse
	if len(o.files) == 0 {
		return &transfer.Error{Op: "query", Path: t.location, Kind: transfer.ErrNotExist, Err: errors.New("tape has nothing of it")}
	}
	return o.gaps("")
}
