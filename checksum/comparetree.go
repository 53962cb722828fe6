package checksum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CompareTree reads a dataset and compares it with the manifest. Files of another
// size are not read. Below the dataset's root, what cannot be read or listed is a
// difference (Unreadable), and so are links, pipes and devices that a dataset cannot
// hold; the error is for a dataset that is not there or cannot be listed at all, and
// for the end of ctx. Nothing below an unreadable folder is called missing.
// Differences are in the order of paths.
func (m *Manifest) CompareTree(ctx context.Context, path string, o *ManifestOptions) ([]Difference, error) {
	if o == nil {
		o = &ManifestOptions{}
	}
	algs := o.Algorithms
	if len(algs) == 0 {
		algs = []Algorithm{m.best()}
		if algs[0] == 0 && m.Files() > 0 {
			return nil, fmt.Errorf("%w: the manifest has no sum that all its files have", ErrFormat)
		}
	}
	t, err := scan(ctx, path)
	if err != nil {
		return nil, err
	}
	if m.Single != t.single {
		return m.CompareManifest(&Manifest{Single: t.single}), nil
	}
	got := make([]Entry, len(t.items))
	unreadable := make([]error, len(t.items))
	err = parallel(ctx, len(t.items), o.Parallel, func(ctx context.Context, i int) error {
		it := t.items[i]
		got[i] = Entry{Path: it.path, Dir: it.dir, Size: it.size}
		w, ok := m.counterpart(it)
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
	refused := slices.Clone(t.refused)
	for i, err := range unreadable {
		if err != nil {
			refused = append(refused, refusal{got[i].Path, err})
		}
	}
	found, err := NewManifest(got, t.single)
	if err != nil {
		return nil, err
	}
	return m.withRefusals(m.CompareManifest(found), refused), nil
}

// counterpart is the manifest's entry of an item.
func (m *Manifest) counterpart(it item) (Entry, bool) {
	if m.Single {
		return m.Entries[0], true
	}
	return m.Find(it.path)
}

// withRefusals puts what could not be read in the place of the differences that
// follow from it.
func (m *Manifest) withRefusals(ds []Difference, refused []refusal) []Difference {
	if m.Single && len(refused) > 0 {
		// Its name may differ.
		return []Difference{{Path: m.Entries[0].Path, Kind: Unreadable, Err: refused[0].err}}
	}
	for _, r := range refused {
		d := Difference{Path: r.path, Kind: Unreadable, Err: r.err}
		if errors.Is(r.err, ErrUnfit) {
			d.Kind = Extra
			if _, ok := m.Find(r.path); ok {
				d.Kind = KindDiffers
			}
		}
		ds = slices.DeleteFunc(ds, func(old Difference) bool {
			return old.Path == r.path || d.Kind == Unreadable && strings.HasPrefix(old.Path, r.path+"/")
		})
		ds = append(ds, d)
	}
	slices.SortFunc(ds, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })
	return ds
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
