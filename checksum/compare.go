package checksum

import (
	"fmt"
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
	KindDiffers   DifferenceKind = "kind"       // not a file, or not an empty directory, as it should be
	Unreadable    DifferenceKind = "unreadable" // says nothing about what is there
)

// A Difference is one disagreement between a manifest and a dataset.
type Difference struct {
	Path      string // "" for the dataset itself
	Kind      DifferenceKind
	Want, Got string // sizes or sums, for people
	Err       error  // for Unreadable, and where there is what a dataset cannot hold (ErrUnfit)
}

// String tells the difference on one line, with the path quoted where it is not
// plain text.
func (d Difference) String() string {
	s := string(d.Kind)
	if d.Path != "" {
		s = quote(d.Path) + ": " + s
	}
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
// ErrCorrupt, unless all that is wrong is that files were unreadable; and it wraps
// the errors of those.
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

// Unwrap gives the errors to errors.Is: ErrCorrupt if there is a difference that was
// seen, and those of the differences.
func (e *DifferError) Unwrap() []error {
	var errs []error
	for _, d := range e.Differences {
		if d.Kind != Unreadable && len(errs) == 0 {
			errs = append(errs, ErrCorrupt)
		}
	}
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
		return []Difference{{Kind: KindDiffers, Want: kinds(!m.Single), Got: kinds(!got.Single)}}
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

func kinds(dir bool) string {
	if dir {
		return "a directory"
	}
	return "a file"
}

func compareEntries(want, got *Entry) (Difference, bool) {
	d := Difference{Path: want.Path}
	switch {
	case want.Dir != got.Dir:
		d.Kind, d.Want, d.Got = KindDiffers, kinds(want.Dir), kinds(got.Dir)
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
