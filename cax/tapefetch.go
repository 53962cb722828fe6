package cax

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// fetch pulls a dataset from tape with a Copier: staged, under its own names, compared
// with the manifest, committed by a rename.
func (tapeCarrier) fetch(ctx context.Context, h *haul, drive *tapeDrive) (status rundb.Status, set bson.D, err error) {
	env := h.w.env
	log := tsm.LogSummary{Dataset: path.Base(h.src.Location), Up: notTold(), Down: notTold()}
	defer func() {
		if ctx.Err() == nil {
			log.Outcome = outcomeOf(err)
			h.tell(log)
		}
	}()
	m, err := env.recalls.find(ctx, h, drive)
	if err != nil {
		return "", nil, err
	}
	defer env.recalls.forget(h)
	if err := m.restorable(); err != nil {
		return "", nil, err
	}
	b := &tapeBackend{haul: h, drive: drive, set: m}
	status, set, err = h.copy(ctx, env.remotes.copier(), transfer.Location{Backend: b, Path: m.location}, transfer.Location{Backend: env.remotes.local(), Path: h.w.held.Copy.Location})
	log.Down = m.batch.told(ctx, m)
	if err == nil {
		for _, f := range set {
			if sum, ok := f.Value.(string); ok && f.Key == "checksum" {
				log.Down.Checksum = sum
			}
		}
	}
	return status, set, err
}

// told is the part of a summary that belongs to one member: its files, at the rate of
// the whole.
func (b *recallBatch) told(ctx context.Context, m *recalled) tsm.LogPart {
	if b.enter(ctx) != nil {
		return notTold()
	}
	defer b.leave()
	p := b.part
	if p.Bytes < 0 || len(b.members) < 2 {
		return p
	}
	p.Files, p.Bytes, p.Failed, p.Inspected = int64(len(m.files)), bytesOf(m.files), 0, -1
	if p.Rate > 0 {
		p.Seconds = float64(p.Bytes) / p.Rate
	}
	return p
}

// A tapeBackend shows one dataset on tape as a directory, for a Copier that fetches it.
type tapeBackend struct {
	haul  *haul
	drive *tapeDrive
	set   *recalled
}

func (b *tapeBackend) String() string { return "tsm://" + b.haul.from.Name }

func (b *tapeBackend) fault(op, p string, kind error) error {
	return &transfer.Error{Op: op, Place: b.String(), Path: p, Kind: kind}
}

// single reports whether the dataset is one file.
func (b *tapeBackend) single() bool {
	return len(b.set.files) == 1 && b.set.files[0].Path == b.set.location
}

func (b *tapeBackend) Lstat(_ context.Context, p string) (transfer.Info, error) {
	switch {
	case p != b.set.location:
		return transfer.Info{}, b.fault("stat", p, transfer.ErrNotExist)
	case b.single():
		return transfer.Info{Path: p, Mode: 0o644, Size: b.set.files[0].Size}, nil
	}
	return transfer.Info{Path: p, Mode: fs.ModeDir | 0o755}, nil
}

// List gives the files under their own names, and the empty folders of the manifest,
// which tape does not have.
func (b *tapeBackend) List(ctx context.Context, dir string) iter.Seq2[transfer.Info, error] {
	return func(yield func(transfer.Info, error) bool) {
		if dir != b.set.location {
			yield(transfer.Info{}, b.fault("list", dir, transfer.ErrNotExist))
			return
		}
		hollow, err := b.hollow(ctx)
		if err != nil {
			yield(transfer.Info{}, err)
			return
		}
		made := map[string]bool{}
		above := func(name string) bool {
			for i, c := range name {
				if c == '/' && !made[name[:i]] {
					made[name[:i]] = true
					if !yield(transfer.Info{Path: name[:i], Mode: fs.ModeDir | 0o755}, nil) {
						return false
					}
				}
			}
			return true
		}
		for _, name := range hollow {
			if !above(name + "/") {
				return
			}
		}
		for _, f := range b.set.files {
			if !above(f.path) || !yield(transfer.Info{Path: f.path, Mode: 0o644, Size: f.Size}, nil) {
				return
			}
		}
	}
}

// hollow are the empty folders of the dataset.
func (b *tapeBackend) hollow(ctx context.Context) ([]string, error) {
	h := b.haul
	m, err := h.w.env.Store.Manifest(ctx, rundb.ManifestKey{Run: h.w.run.ID, Type: h.src.Type, Version: h.src.Version})
	if errors.Is(err, rundb.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range m.Entries {
		if m.Entries[i].Dir {
			out = append(out, m.Entries[i].Path)
		}
	}
	return out, nil
}

// Fetch has the dataset brought, with all others that are wanted, and takes its files.
func (b *tapeBackend) Fetch(ctx context.Context, _, local string, single bool, t *transfer.Tree) error {
	// dsmc has a limit of its own on how long it may do nothing.
	alive, stop := context.WithCancel(ctx)
	defer stop()
	if t.Progress != nil {
		go func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-alive.Done():
					return
				case <-tick.C:
					t.Progress(0)
				}
			}
		}()
	}
	area := b.set.batch.area
	if area == "" {
		area = filepath.Join(filepath.Dir(local), "tape")
		if err := os.Mkdir(area, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	berr := b.set.batch.bring(ctx, b.haul, b.drive, b.set, area)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := b.take(area, local, single, t)
	if err != nil && berr != nil && len(b.set.batch.members) > 1 {
		if berr = b.set.batch.alone(ctx, b.haul, b.drive, b.set, area); berr == nil {
			err = b.take(area, local, single, t)
		}
	}
	if err != nil {
		if berr != nil {
			return berr
		}
		return err
	}
	hollow, err := b.hollow(ctx)
	for _, name := range hollow {
		err = errors.Join(err, os.MkdirAll(filepath.Join(local, filepath.FromSlash(name)), 0o755))
	}
	return err
}

// take moves the files of the dataset to where they are staged, under their own names.
func (b *tapeBackend) take(area, local string, single bool, t *transfer.Tree) error {
	lacking := ""
	for _, f := range b.set.files {
		to := local
		if !single {
			to = filepath.Join(local, filepath.FromSlash(f.path))
		}
		p, ok := tsm.Placed(area, f.Path)
		if !ok {
			if st, err := os.Lstat(to); err == nil && st.Size() == f.Size {
				if t.Skipped != nil {
					t.Skipped(f.Size)
				}
				continue // of an earlier try
			}
			lacking = f.Path
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(p, to); err != nil {
			return &transfer.Error{Op: "take", Path: p, Kind: transfer.ErrPermission, Err: err}
		}
		prune(area, p)
		if t.Progress != nil {
			t.Progress(f.Size)
		}
		if t.File != nil {
			t.File(f.path)
		}
	}
	if lacking != "" {
		return &transfer.Error{Op: "recall", Place: b.String(), Path: lacking, Kind: transfer.ErrNotExist, Err: errors.New("tape did not give it")}
	}
	return nil
}

// prune removes the folders above a file that was taken, as far as they are empty.
func prune(area, p string) {
	for dir := filepath.Dir(p); strings.HasPrefix(dir, area+"/"); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			return
		}
	}
}

func (b *tapeBackend) Open(_ context.Context, p string, _ int64) (io.ReadCloser, error) {
	return nil, b.fault("open", p, transfer.ErrUnsupported)
}

func (b *tapeBackend) Create(_ context.Context, p string, _, _ int64, _ time.Time) (io.WriteCloser, error) {
	return nil, b.fault("create", p, transfer.ErrUnsupported)
}

func (b *tapeBackend) Mkdir(_ context.Context, p string) error {
	return b.fault("mkdir", p, transfer.ErrUnsupported)
}

func (b *tapeBackend) Rename(_ context.Context, from, _ string) error {
	return b.fault("rename", from, transfer.ErrUnsupported)
}

func (b *tapeBackend) Remove(_ context.Context, p string) error {
	return b.fault("remove", p, transfer.ErrUnsupported)
}

// Send is never used: what is pushed to tape is archived.
func (b *tapeBackend) Send(_ context.Context, _, remote string, _ bool, _ *transfer.Tree) error {
	return b.fault("send", remote, transfer.ErrUnsupported)
}

func (b *tapeBackend) Close() error { return nil }
