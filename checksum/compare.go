package checksum

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A DifferenceKind says how a file differs from its manifest.
type DifferenceKind string

// The kinds of differences.
const (
	Missing       DifferenceKind = "missing"
	Extra         DifferenceKind = "extra"
	SizeDiffers   DifferenceKind = "size"
	DigestDiffers DifferenceKind = "digest"
	KindDiffers   DifferenceKind = "kind" // an empty directory where a file should be, or the other way round
	Unreadable    DifferenceKind = "unreadable"
)

// A Difference is one disagreement between a manifest and a dataset.
type Difference struct {
	Path      string
	Kind      DifferenceKind
	Want, Got string // sizes or sums, for people
	Err       error  // for Unreadable
}

// String tells the difference on one line, with the path quoted where it is not
// plain text.
func (d Difference) String() string {
	s := fmt.Sprintf("%s: %s", quote(d.Path), d.Kind)
	switch {
	case d.Err != nil:
		s += fmt.Sprintf(" (%v)", d.Err)
	case d.Want != "" || d.Got != "":
		s += fmt.Sprintf(" (is %s, should be %s)", d.Got, d.Want)
	}
	return s
}

// quote gives a path as it is if it is plain, else as a Go string.
func quote(p string) string {
	if q := fmt.Sprintf("%+q", p); q != `"`+p+`"` || strings.ContainsAny(p, " \t") {
		return q
	}
	return p
}

// A DifferError lists how a dataset differs from its manifest. It wraps
// ErrCorrupt.
type DifferError struct {
	What        string // the dataset
	Differences []Difference
}

// Differ returns a *DifferError about what, or nil if there is no difference.
func Differ(what string, ds []Difference) error {
	if len(ds) == 0 {
		return nil
	}
	return &DifferError{What: what, Differences: ds}
}

// Error names the first files that differ, and how many there are.
func (e *DifferError) Error() string {
	const shown = 5
	var s []string
	for _, d := range e.Differences[:min(shown, len(e.Differences))] {
		s = append(s, d.String())
	}
	if n := len(e.Differences) - shown; n > 0 {
		s = append(s, fmt.Sprintf("and %d more", n))
	}
	return fmt.Sprintf("%s differs from its manifest in %d file(s): %s", e.What, len(e.Differences), strings.Join(s, "; "))
}

// Unwrap gives ErrCorrupt to errors.Is, and the errors of unreadable files.
func (e *DifferError) Unwrap() []error {
	errs := []error{ErrCorrupt}
	for _, d := range e.Differences {
		if d.Err != nil {
			errs = append(errs, d.Err)
		}
	}
	return errs
}

// CompareManifest compares two manifests by the algorithms that an entry has in
// both; a pair of files with no common algorithm is a DigestDiffers. Differences
// are in the order of paths.
func (m *Manifest) CompareManifest(got *Manifest) []Difference {
	if m.Single != got.Single {
		return []Difference{{Kind: KindDiffers, Want: kindOf(m), Got: kindOf(got)}}
	}
	if m.Single {
		if d, ok := compareEntries(&m.Entries[0], &got.Entries[0]); !ok {
			return []Difference{d}
		}
		return nil
	}
	var ds []Difference
	a, b := m.Entries, got.Entries
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Path < b[0].Path:
			ds = append(ds, Difference{Path: a[0].Path, Kind: Missing})
			a = a[1:]
		case len(a) == 0 || b[0].Path < a[0].Path:
			ds = append(ds, Difference{Path: b[0].Path, Kind: Extra})
			b = b[1:]
		default:
			if d, ok := compareEntries(&a[0], &b[0]); !ok {
				ds = append(ds, d)
			}
			a, b = a[1:], b[1:]
		}
	}
	return ds
}

func kindOf(m *Manifest) string {
	if m.Single {
		return "a file"
	}
	return "a directory"
}

func compareEntries(want, got *Entry) (Difference, bool) {
	d := Difference{Path: want.Path}
	switch {
	case want.Dir != got.Dir:
		d.Kind = KindDiffers
		return d, false
	case want.Dir:
		return d, true
	case want.Size != got.Size:
		d.Kind, d.Want, d.Got = SizeDiffers, fmt.Sprint(want.Size), fmt.Sprint(got.Size)
		return d, false
	}
	common := false
	for _, w := range want.Sums {
		g := got.Sum(w.alg)
		if g.IsZero() {
			continue
		}
		common = true
		if g != w {
			d.Kind, d.Want, d.Got = DigestDiffers, w.String(), g.String()
			return d, false
		}
	}
	if !common {
		d.Kind, d.Want, d.Got = DigestDiffers, "a sum of the same algorithm", "none"
		return d, false
	}
	return d, true
}

// best is the algorithm that a manifest is compared by: XXH3-128 where all files
// have it, else the first that all have; zero if there is none.
func (m *Manifest) best() Algorithm {
	count := map[Algorithm]int{}
	for i := range m.Entries {
		for _, s := range m.Entries[i].Sums {
			count[s.alg]++
		}
	}
	for _, a := range append([]Algorithm{XXH3_128}, Algorithms()...) {
		if n := m.Files(); count[a] == n && n > 0 {
			return a
		}
	}
	return 0
}

// CompareTree reads a dataset and compares it with the manifest. Files of another
// size are not read. What cannot be read is a difference too (Unreadable); the
// error is for a dataset that cannot be listed at all, and for the end of ctx.
// Differences are in the order of paths.
func (m *Manifest) CompareTree(ctx context.Context, path string, o *ManifestOptions) ([]Difference, error) {
	if o == nil {
		o = &ManifestOptions{}
	}
	algs := o.Algorithms
	if algs == nil {
		algs = []Algorithm{m.best()}
		if algs[0] == 0 && m.Files() > 0 {
			return nil, fmt.Errorf("%w: the manifest has no sum that all its files have", ErrFormat)
		}
	}
	t, err := scan(ctx, path)
	if err != nil {
		return nil, err
	}
	want := func(it item) (Entry, bool) {
		if m.Single && t.single {
			return m.Entries[0], true
		}
		return m.Find(it.path)
	}
	got := make([]Entry, len(t.items))
	unreadable := make([]error, len(t.items))
	err = parallel(ctx, len(t.items), o.Parallel, func(ctx context.Context, i int) error {
		it := t.items[i]
		got[i] = Entry{Path: it.path, Dir: it.dir, Size: it.size}
		w, ok := want(it)
		if !ok || w.Dir || it.dir || w.Size != it.size {
			return nil // a difference as it stands
		}
		e, err := t.entry(ctx, it, algs, o)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			unreadable[i] = err
			return nil
		}
		got[i] = e
		return nil
	})
	if err != nil {
		return nil, err
	}
	failed := map[string]error{}
	for i, err := range unreadable {
		if err != nil {
			failed[got[i].Path] = err
		}
	}
	found, err := NewManifest(got, t.single)
	if err != nil {
		return nil, err
	}
	ds := m.CompareManifest(found)
	for i := range ds {
		if err, ok := failed[ds[i].Path]; ok || m.Single && len(failed) > 0 {
			if !ok {
				err = failed[got[0].Path]
			}
			ds[i] = Difference{Path: ds[i].Path, Kind: Unreadable, Err: err}
		}
	}
	slices.SortFunc(ds, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })
	return ds, nil
}
