package transfer

import (
	"context"
	"slices"
	"strings"

	"github.com/cax-go/cax/checksum"
)

// A Verification tells how a dataset differs from its manifest.
type Verification struct {
	Differences []checksum.Difference // in the order of paths; none: it is the dataset

	// By is the algorithm that files were compared by, the weakest of them if there
	// were several; 0 if no file was, because none has the right name and size.
	By checksum.Algorithm
}

// Verify compares what stands at a place with a manifest: names, kinds and sizes, and
// the files that have the right ones by their digests, which a Hasher computes there;
// without one they are read through the backend. ErrNotExist if nothing stands there,
// ErrInvalid if it holds what no dataset can hold.
func (c *Copier) Verify(ctx context.Context, l Location, m *checksum.Manifest, p Progress) (*Verification, error) {
	ctx, w := watch(ctx, c.stall(), p)
	defer w.stop()
	r := &run{Copier: c, watch: w}
	there, err := list(ctx, l, w.alive)
	if err != nil {
		return nil, orEnded(ctx, err)
	}
	w.start(m.Files(), m.Size())
	v := &Verification{Differences: compare(listingOf(m), there)}
	if there.single != m.Single {
		return v, nil
	}
	differ := map[string]bool{}
	for _, d := range v.Differences {
		differ[d.Path] = true
	}
	rest := &checksum.Manifest{Single: m.Single}
	for i := range m.Entries {
		if !differ[m.Entries[i].Path] {
			rest.Entries = append(rest.Entries, m.Entries[i])
		}
	}
	wrong, err := r.differing(ctx, l, rest)
	if err != nil {
		return nil, orEnded(ctx, err)
	}
	v.Differences, v.By = append(v.Differences, wrong...), r.by
	slices.SortFunc(v.Differences, func(a, b checksum.Difference) int { return strings.Compare(a.Path, b.Path) })
	return v, nil
}
