package cax

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// fetch pulls a dataset out of a catalogue with a Copier, as from any other remote: staged,
// compared with the manifest, committed by a rename.
func (rucioCarrier) fetch(ctx context.Context, h *haul) (rundb.Status, bson.D, error) {
	env := h.w.env
	client, err := env.catalogs.client(env, h.from)
	if err != nil {
		return "", nil, err
	}
	did, err := rucio.ParseDID(h.src.Location)
	if err != nil {
		return "", nil, err
	}
	r, err := rucio.OpenDataset(ctx, &rucio.Downloader{Client: client, Storage: env.storageOptions(), Log: env.Log}, did, cmp.Or(h.task.rse, env.Site.RucioDownloadRSE))
	if err != nil {
		return "", nil, err
	}
	b := &catalogBackend{name: h.from.Name, did: did, files: r}
	defer b.Close()
	copier := env.remotes.copier()
	limit(copier, h.from.Bandwidth.At(env.Clock.now()))
	for {
		damaged := r.Damaged()
		status, set, err := h.copy(ctx, copier, transfer.Location{Backend: b, Path: b.root()}, transfer.Location{Backend: env.remotes.local(), Path: h.w.held.Copy.Location})
		if err == nil || r.Damaged() == damaged || ctx.Err() != nil {
			return status, set, err
		}
		// What is right is kept in staging; the rest may be good at another RSE.
		env.Log.Warn("a replica is damaged; the next one is read", append(fields(h.w.d), zap.Error(err))...)
	}
}

// A catalogBackend shows one dataset of a catalogue as a directory, for a Copier that
// reads it.
type catalogBackend struct {
	name  string
	did   rucio.DID
	files *rucio.OpenedDataset
}

func (b *catalogBackend) String() string { return "rucio://" + b.name }

// root is the path of the dataset: "/SCOPE/NAME".
func (b *catalogBackend) root() string { return "/" + b.did.Scope + "/" + b.did.Name }

func (b *catalogBackend) fault(op, p string, kind error) error {
	return &transfer.Error{Op: op, Place: b.String(), Path: p, Kind: kind}
}

func (b *catalogBackend) info(p string, f rucio.FileReplicas) transfer.Info {
	return transfer.Info{Path: p, Mode: 0o644, Size: f.Bytes}
}

func (b *catalogBackend) Lstat(_ context.Context, p string) (transfer.Info, error) {
	if p == b.root() {
		return transfer.Info{Path: p, Mode: fs.ModeDir | 0o755}, nil
	}
	if f, ok := b.find(p); ok {
		return b.info(p, f), nil
	}
	return transfer.Info{}, b.fault("stat", p, transfer.ErrNotExist)
}

func (b *catalogBackend) find(p string) (rucio.FileReplicas, bool) {
	name, ok := strings.CutPrefix(p, b.root()+"/")
	if !ok {
		return rucio.FileReplicas{}, false
	}
	return b.files.File(name)
}

func (b *catalogBackend) List(_ context.Context, dir string) iter.Seq2[transfer.Info, error] {
	return func(yield func(transfer.Info, error) bool) {
		if dir != b.root() {
			yield(transfer.Info{}, b.fault("list", dir, transfer.ErrNotExist))
			return
		}
		made := map[string]bool{}
		for _, f := range b.files.Files() {
			if f.Bytes < 0 {
				yield(transfer.Info{}, &transfer.Error{Op: "list", Place: b.String(), Path: f.Name, Kind: transfer.ErrInvalid, Err: errors.New("the catalogue does not say how long it is")})
				return
			}
			for i, c := range f.Name {
				if c == '/' && !made[f.Name[:i]] {
					made[f.Name[:i]] = true
					if !yield(transfer.Info{Path: f.Name[:i], Mode: fs.ModeDir | 0o755}, nil) {
						return
					}
				}
			}
			if !yield(b.info(f.Name, f), nil) {
				return
			}
		}
	}
}

func (b *catalogBackend) Open(ctx context.Context, p string, offset int64) (io.ReadCloser, error) {
	f, ok := b.find(p)
	if !ok {
		return nil, b.fault("open", p, transfer.ErrNotExist)
	}
	return b.files.Open(ctx, f.Name, offset)
}

func (b *catalogBackend) Create(_ context.Context, p string, _, _ int64, _ time.Time) (io.WriteCloser, error) {
	return nil, b.fault("create", p, transfer.ErrUnsupported)
}

func (b *catalogBackend) Mkdir(_ context.Context, p string) error {
	return b.fault("mkdir", p, transfer.ErrUnsupported)
}

func (b *catalogBackend) Rename(_ context.Context, from, _ string) error {
	return b.fault("rename", from, transfer.ErrUnsupported)
}

func (b *catalogBackend) Remove(_ context.Context, p string) error {
	return b.fault("remove", p, transfer.ErrUnsupported)
}

func (b *catalogBackend) Close() error { return b.files.Close() }
