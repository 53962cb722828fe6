package cax

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
)

// A Fetch is a dataset of a catalogue that is wanted in some folder, without a record.
type Fetch struct {
	Located          // of the run database; without a Run, only the location of Copy is used
	Dir       string // the dataset becomes a folder, or a file, in it
	RSE       string // expression: only from there; "": from anywhere
	Overwrite bool   // replace local files that are other ones
}

// Path is what the dataset becomes: what it is called on other disks, else its name in the
// catalogue.
func (f *Fetch) Path() string {
	if f.Run == nil {
		did, err := rucio.ParseDID(f.Copy.Location)
		if err != nil {
			return f.Dir
		}
		return filepath.Join(f.Dir, filepath.FromSlash(did.Name))
	}
	return filepath.Join(f.Dir, datasetName(f.Run, &f.Copy))
}

// Fetch brings a dataset from a catalogue into a folder, each file compared with the
// catalogue's checksums, and all of them with the run's manifest if that is known. It can
// be called again: what is there and right is not fetched. In a dry run it only looks.
func (e *Env) Fetch(ctx context.Context, f Fetch) (res *rucio.DownloadResult, err error) {
	client, _, err := e.Catalogue(f.Copy.Host)
	if err != nil {
		return nil, err
	}
	did, err := rucio.ParseDID(f.Copy.Location)
	if err != nil {
		return nil, err
	}
	d := Decision{Task: "download", Verb: Do, What: "copy", From: f.Copy.Host, Key: f.Copy.Key}
	if f.Run != nil {
		d.about(f.Run)
	} else {
		d.Name = did.String()
	}
	down := &rucio.Downloader{Client: client, Storage: e.storageOptions(), Log: e.Log}
	job := rucio.Download{DID: did, Dir: f.Dir, RSE: f.RSE, Overwrite: f.Overwrite}
	m, err := e.expected(ctx, &f)
	if err != nil {
		return nil, err
	}
	if f.Run != nil {
		if job.Flat, job.Dir, err = e.layout(ctx, down, &f, did); err != nil {
			return nil, err
		}
	}
	if e.DryRun {
		return down.Look(ctx, job)
	}
	progress, end := e.begin(d)
	defer func() { end(err) }()
	job.Progress = progress
	if res, err = down.Download(ctx, job); err != nil || m == nil {
		return res, err
	}
	return res, complete(res, m, job.Dir, did)
}

// expected is the manifest of a dataset; nil if none is known.
func (e *Env) expected(ctx context.Context, f *Fetch) (*checksum.Manifest, error) {
	if f.Run == nil {
		return nil, nil
	}
	m, err := e.Store.Manifest(ctx, rundb.ManifestKey{Run: f.Run.ID, Type: f.Copy.Type, Version: f.Copy.Version})
	if errors.Is(err, rundb.ErrNotExist) {
		return nil, nil
	}
	return m, err
}

// layout tells where the files of a run's dataset go: into a folder that is called like
// the dataset, or, where the dataset is one file of that name, beside others.
func (e *Env) layout(ctx context.Context, d *rucio.Downloader, f *Fetch, did rucio.DID) (flat bool, dir string, err error) {
	info, err := d.Client.DID(ctx, did)
	if err != nil || info.Type != rucio.Dataset {
		return false, f.Dir, err
	}
	name := datasetName(f.Run, &f.Copy)
	n, same := 0, false
	for m, err := range d.Client.Contents(ctx, did) {
		if err != nil {
			return false, "", err
		}
		n, same = n+1, m.Name == name
	}
	if n == 1 && same {
		return true, f.Dir, nil
	}
	return true, filepath.Join(f.Dir, name), nil
}

// complete compares what came with a manifest: names, sizes and checksums.
func complete(res *rucio.DownloadResult, m *checksum.Manifest, dir string, did rucio.DID) error {
	bad := func(format string, args ...any) error {
		return &rucio.Error{Op: "compare", Thing: did.String(), Kind: rucio.ErrCorrupt, Err: fmt.Errorf(format, args...)}
	}
	came := map[string]*rucio.DownloadedFile{}
	for i := range res.Files {
		rel, err := filepath.Rel(dir, res.Files[i].Path)
		if err != nil {
			return err
		}
		came[filepath.ToSlash(rel)] = &res.Files[i]
	}
	for i := range m.Entries {
		w := &m.Entries[i]
		if w.Dir {
			continue
		}
		f, ok := came[w.Path]
		switch sum := w.Sum(checksum.Adler32); {
		case !ok:
			return bad("the catalogue's dataset lacks %s, which is in the run's manifest", w.Path)
		case f.Bytes != w.Size, !sum.IsZero() && !rucio.SameAdler32(f.Adler32, sum.Bare()):
			return bad("%s is not the file of the run's manifest", w.Path)
		}
		delete(came, w.Path)
	}
	for name := range came {
		return bad("%s is not in the run's manifest", name)
	}
	return nil
}

// Restore fetches a dataset from a catalogue into this site's directory, with a record:
// what CopyPull does, at once and also where the catalogue is not in download_options. An
// RSE expression says from where, "" is from anywhere. The decision says what was done,
// or with a verb other than Do why nothing was; in a dry run nothing is.
func (e *Env) Restore(ctx context.Context, l *Located, rse string) (Decision, error) {
	remote, ok := e.Config.Site(l.Copy.Host)
	if !ok {
		return Decision{}, fmt.Errorf("%s is no site of %s", l.Copy.Host, e.Config.File)
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return Decision{}, err
	}
	t := copyTask{methods: []Method{MethodRucio}, now: true, rse: rse}
	d := t.decide(e, l.Run, rundb.Key{Type: l.Copy.Type, Version: l.Copy.Version}, remote, now)
	if d.Verb != Do || e.DryRun {
		return d, nil
	}
	return d, t.run(ctx, e, l.Run.ID, d.Key, remote)
}
