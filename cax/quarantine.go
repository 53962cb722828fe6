package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// quarantineName is the folder, beside datasets, into which strays are moved:
//
//	.cax-quarantine/<UTC date>/<name>
//
// Nothing in it is ever unlinked by cax.
const quarantineName = ".cax-quarantine"

// quarantineStray moves what no record names into quarantine, after it has asked
// once more whether one does.
func (e *Env) quarantineStray(ctx context.Context, f *Discrepancy) error {
	if f.item == nil {
		return ErrNotNeeded
	}
	if f.Kind == OrphanPart {
		q := &rundb.Query{Copies: []rundb.CopyMatch{{ClaimID: f.item.left.Claim}}, Limit: 1}
		for _, err := range e.Store.Find(ctx, q) {
			return errors.Join(ErrNotNeeded, err)
		}
	}
	if r, err := e.namedBy(ctx, f.Path); err != nil {
		return err
	} else if r != nil {
		return fmt.Errorf("%s has a record of %s: %w", r, f.Path, ErrNotNeeded)
	}
	if err := e.unchanged(ctx, f); err != nil {
		return err
	}
	_, err := e.toQuarantine(ctx, f)
	return err
}

// toQuarantine moves what a finding is about into quarantine and returns where it
// is then.
func (e *Env) toQuarantine(ctx context.Context, f *Discrepancy) (string, error) {
	disk := e.remotes.local()
	dir := path.Dir(f.Path) + "/" + quarantineName
	folder := dir + "/" + e.Clock.now().Format("2006-01-02")
	evidence := bson.D{{Key: "from", Value: f.Path}, {Key: "to", Value: folder}, {Key: "bytes", Value: f.Bytes}, {Key: "files", Value: f.Files}}
	if err := e.intent(ctx, f, "quarantined", evidence); err != nil {
		return "", err
	}
	for _, d := range []string{dir, folder} {
		if err := disk.Mkdir(ctx, d); err != nil && !errors.Is(err, transfer.ErrExist) {
			return "", err
		}
	}
	const most = 1000 // things of one name on one day
	for n := range most {
		to := folder + "/" + path.Base(f.Path)
		if n > 0 {
			to += fmt.Sprintf("~%d", n)
		}
		err := disk.Rename(ctx, f.Path, to)
		if errors.Is(err, transfer.ErrExist) {
			continue
		}
		if errors.Is(err, transfer.ErrNotExist) {
			return "", ErrNotNeeded
		}
		if err != nil {
			return "", err
		}
		return to, errors.Join(durableName(ctx, disk, to), durableName(ctx, disk, f.Path))
	}
	return "", &transfer.Error{Op: "quarantine", Path: f.Path, Kind: transfer.ErrExist, Hint: "empty " + folder}
}

// durableName makes the name of a path durable, or that it is gone.
func durableName(ctx context.Context, disk transfer.Backend, p string) error {
	if s, ok := disk.(transfer.NameSyncer); ok {
		_, err := s.SyncName(ctx, p)
		return err
	}
	return durable(ctx, disk, path.Dir(p))
}

// namedBy returns a run with a record of a path at this site, on its storage, or on
// a host that the configuration does not know; nil if there is none.
func (e *Env) namedBy(ctx context.Context, p string) (*rundb.Run, error) {
	hosts := e.sharing()
	q := &rundb.Query{Copies: []rundb.CopyMatch{{Location: p}}}
	for r, err := range e.Store.Find(ctx, q) {
		if err != nil {
			return nil, err
		}
		for i := range r.Data {
			c := &r.Data[i]
			_, known := e.Config.Site(c.Host)
			if c.Location == p && (!known || slices.Contains(hosts, c.Host)) {
				return r, nil
			}
		}
	}
	return nil, nil
}
