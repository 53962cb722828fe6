package cax

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
)

// prove asks tape for names and sizes of every file, and brings all or some back to
// compare them with the manifest.
func (u *tapeUpload) prove(ctx context.Context) error {
	missing, err := u.missing(ctx)
	if err != nil {
		return err
	}
	t := &taped{location: u.w.held.Copy.Location, files: u.files, missing: missing}
	if err := t.gaps(u.to.Name); err != nil {
		return err
	}
	files := u.files
	switch u.conf.Verify {
	case tapeQuery:
		return nil
	case tapeSample:
		files = sample(files)
	}
	return u.bringBack(ctx, files)
}

// sample picks some files by chance: about as many as the square root of all, and the
// largest.
func sample(files []tapedFile) []tapedFile {
	n := 1
	for n*n < len(files) {
		n++
	}
	large := slices.MaxFunc(files, func(a, b tapedFile) int { return int(max(-1, min(1, a.Size-b.Size))) })
	out := []tapedFile{large}
	for _, i := range rand.Perm(len(files)) {
		if len(out) < n && files[i].Path != large.Path {
			out = append(out, files[i])
		}
	}
	slices.SortFunc(out, func(a, b tapedFile) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// bringBack retrieves files in pieces for which there is room, and compares them.
func (u *tapeUpload) bringBack(ctx context.Context, files []tapedFile) error {
	env := u.w.env
	room := env.tapeRoom(u.src, u.w.held.ID)
	if err := os.Mkdir(room, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	defer func() { _ = removeAll(room) }() // what stays is known by its claim
	for len(files) > 0 {
		have, err := env.roomFor(ctx, room)
		if err != nil {
			return err
		}
		n, bytes := 0, int64(0)
		for n < len(files) && bytes+files[n].Size <= have {
			bytes += files[n].Size
			n++
		}
		if n == 0 {
			return &transfer.Error{Op: "bring back", Place: env.Site.Name, Path: room, Kind: transfer.ErrNoSpace,
				Err: fmt.Errorf("%d bytes are needed, %d are free", files[0].Size, have), Hint: `make room, or set "verify": "query" of the key tsm`}
		}
		if err := u.compare(ctx, files[:n], room); err != nil {
			return err
		}
		u.sampled += n
		files = files[n:]
		if err := removeAll(room); err != nil {
			return err
		}
		if len(files) > 0 {
			if err := os.Mkdir(room, 0o700); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare retrieves some files and compares them with the manifest.
func (u *tapeUpload) compare(ctx context.Context, files []tapedFile, room string) error {
	job := tsm.Recall{Paths: pathsOf(files), Description: u.w.held.Copy.Archive, Bytes: bytesOf(files)}
	r, err := u.drive.bring(ctx, u.conf.Mode == tapeIncr, job, room, nil, u.w.env.Log)
	if r != nil {
		addPart(&u.log.Down, r.Statistics)
	}
	if err != nil {
		return err
	}
	var wrong []checksum.Difference
	for _, f := range files {
		kind, err := compareFile(ctx, room, f)
		if err != nil {
			return err
		}
		if kind != "" {
			wrong = append(wrong, checksum.Difference{Path: f.path, Kind: kind})
		}
	}
	if err := checksum.Differ("what tape gave back", wrong); err != nil {
		return &transfer.Error{Op: "compare", Place: u.to.Name, Path: u.w.held.Copy.Location, Kind: transfer.ErrCorrupt, Err: err}
	}
	return nil
}

// compareFile tells how a file that was brought differs from the manifest; "" if it does
// not.
func compareFile(ctx context.Context, room string, f tapedFile) (checksum.DifferenceKind, error) {
	p, ok := tsm.Placed(room, f.Path)
	if !ok {
		return checksum.Missing, nil
	}
	st, err := os.Stat(p)
	switch {
	case err != nil:
		return "", err
	case st.Size() != f.Size:
		return checksum.SizeDiffers, nil
	case len(f.entry.Sums) == 0:
		return "", &transfer.Error{Op: "compare", Path: f.path, Kind: transfer.ErrInvalid, Err: errors.New("its manifest has no sum of it"), Hint: "make a new manifest"}
	}
	want := f.entry.Sums[0]
	if x := f.entry.Sum(checksum.XXH3_128); !x.IsZero() {
		want = x
	}
	got, err := checksum.FileSum(ctx, p, want.Algorithm())
	if err != nil {
		return "", err
	}
	if got[0] != want {
		return checksum.DigestDiffers, nil
	}
	return "", nil
}
