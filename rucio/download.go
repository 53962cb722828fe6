package rucio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/transfer"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// A Downloader fetches files from the RSEs that have them. Its fields must not be changed
// after the first use; then it is safe for concurrent use.
type Downloader struct {
	Client *Client // required

	// Storage says how to log in to storage and how patient to be. nil: as to the
	// catalogue.
	Storage *storage.Options
	Open    StorageOpener // nil: storage.Open

	Parallel int         // files at once; 0: 4
	Tape     bool        // replicas on tape may be read, which can take hours
	Log      *zap.Logger // what an operator should see; nil: none
}

// A Download is what [Downloader.Download] fetches: a file, or all files of a dataset or
// of a container's datasets.
type Download struct {
	DID DID

	// Dir is the local folder. A file of a dataset becomes DIR/DATASET/FILE, a file that
	// was asked for itself DIR/SCOPE/FILE, as the Python client has it. It is made if
	// it is not there.
	Dir  string
	Flat bool // everything becomes DIR/FILE

	RSE       string // expression: only from there; "": from anywhere
	Overwrite bool   // replace local files that are other ones; else they are errors
	Unchecked bool   // accept files of which the catalogue has no checksum

	Progress Progress // nil: none
}

// A DownloadState says what became of one file.
type DownloadState string

// The states of downloads.
const (
	Fetched DownloadState = "fetched"
	There   DownloadState = "there" // it was there already, and is right
)

// A DownloadedFile is a local file, verified.
type DownloadedFile struct {
	DID
	Path         string
	Bytes        int64
	Adler32, MD5 string
	RSE          []string // where its bytes came from; several if one failed in the middle; nil if it was there
	State        DownloadState
}

// A DownloadResult tells what a download did, also where it failed in part. The files are
// those that are there now, ordered by path.
type DownloadResult struct {
	Files  []DownloadedFile
	Bytes  int64 // of these files
	Moved  int64 // of those that were fetched in this call
	Failed int   // files that are not there
}

// Download fetches files and verifies each against the checksums of the catalogue. The
// nearest replica is read first; where one fails, even in the middle, the next goes on. A
// file comes into being as NAME.part, which a later call takes up after having read
// it, and gets its name when it is right; nothing is replaced unless
// Overwrite says so. A file that is there and right is not fetched.
//
// One file that fails does not keep the others from being fetched. The error joins
// theirs, and the result tells what is there. Kinds are ErrNotExist where the catalogue
// does not have the DID, ErrCorrupt where no replica is what the catalogue says or it has no
// checksum, ErrUnavailable where nobody has a file, ErrConflict where a local file is
// another one.
func (d *Downloader) Download(ctx context.Context, job Download) (res *DownloadResult, err error) {
	s := newStores(d.Client, d.Open, d.Storage)
	defer func() { err = errors.Join(err, s.close()) }()
	t := &downloading{d: d, job: &job, from: &sources{s: s, tape: d.Tape, failed: map[string]int{}}, progress: job.Progress}
	if t.progress == nil {
		t.progress = noProgress{}
	}
	wanted, err := t.list(ctx)
	if err != nil {
		return nil, err
	}
	return t.fetch(ctx, wanted)
}

// Look tells what [Downloader.Download] would have to do: the files that are there and
// right are as after it, and Failed counts the others, whose bytes are in Moved. It changes
// nothing.
func (d *Downloader) Look(ctx context.Context, job Download) (res *DownloadResult, err error) {
	s := newStores(d.Client, d.Open, d.Storage)
	defer func() { err = errors.Join(err, s.close()) }()
	t := &downloading{d: d, job: &job, from: &sources{s: s, tape: d.Tape, failed: map[string]int{}}, progress: noProgress{}}
	wanted, err := t.list(ctx)
	if err != nil {
		return nil, err
	}
	res = &DownloadResult{}
	for i := range wanted {
		w := &wanted[i]
		there, _, err := t.there(ctx, w)
		if err != nil {
			return nil, err
		}
		if there != nil {
			res.Files = append(res.Files, *there)
			res.Bytes += there.Bytes
			continue
		}
		res.Failed++
		res.Moved += max(0, w.Bytes)
	}
	return res, nil
}

// A downloading is a download on its way.
type downloading struct {
	d        *Downloader
	job      *Download
	from     *sources
	progress Progress
}

// A fetchable is a file and the local path that it gets.
type fetchable struct {
	FileReplicas
	path string
}

// list asks what there is to fetch.
func (t *downloading) list(ctx context.Context) ([]fetchable, error) {
	top, err := t.d.Client.DID(ctx, t.job.DID)
	if err != nil {
		return nil, err
	}
	datasets := []DID{t.job.DID}
	if top.Type == Container {
		if datasets, err = t.below(ctx, t.job.DID); err != nil {
			return nil, err
		}
	}
	var all []fetchable
	paths := map[string]DID{}
	for _, ds := range datasets {
		folder := ds.Name
		if top.Type == File {
			folder = ds.Scope
		}
		files, err := filesOf(ctx, t.d.Client, ds, t.job.RSE)
		if err != nil {
			return nil, err
		}
		for _, r := range files {
			local := filepath.FromSlash(r.Name)
			if !t.job.Flat {
				local = filepath.Join(filepath.FromSlash(folder), local)
			}
			if !filepath.IsLocal(local) {
				return nil, &Error{Op: "download", Thing: r.DID.String(), Kind: ErrInvalid, Err: errors.New("its name leads out of the folder")}
			}
			w := fetchable{r, filepath.Join(t.job.Dir, local)}
			if was, ok := paths[w.path]; ok {
				if was == r.DID {
					continue
				}
				return nil, &Error{Op: "download", Thing: t.job.DID.String(), Kind: ErrInvalid, Err: fmt.Errorf("%s and %s would both become %s", was, r.DID, w.path)}
			}
			paths[w.path] = r.DID
			all = append(all, w)
		}
	}
	return all, nil
}

// filesOf lists all files of a DID with their replicas at the RSEs of an expression. The
// server leaves files of a collection without such replicas out of its list of replicas:
// they are added from the list of files.
func filesOf(ctx context.Context, c *Client, did DID, rse string) ([]FileReplicas, error) {
	all, err := insist(ctx, c, func() iter.Seq2[FileReplicas, error] {
		return c.Replicas(ctx, ReplicaQuery{DIDs: []DID{did}, Schemes: schemes(), RSEExpression: rse})
	})
	if err != nil {
		return nil, err
	}
	listed := map[DID]bool{}
	for _, r := range all {
		listed[r.DID] = true
	}
	files, err := insist(ctx, c, func() iter.Seq2[FileEntry, error] { return c.Files(ctx, did) })
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !listed[f.DID] {
			all = append(all, FileReplicas{DID: f.DID, Bytes: f.Bytes, Adler32: f.Adler32})
		}
	}
	return all, nil
}

// below lists the datasets of a container, and of the containers in it.
func (t *downloading) below(ctx context.Context, c DID) ([]DID, error) {
	seen := map[DID]bool{c: true}
	var out []DID
	for todo := []DID{c}; len(todo) > 0; {
		at := todo[0]
		todo = todo[1:]
		members, err := insist(ctx, t.d.Client, func() iter.Seq2[DIDEntry, error] { return t.d.Client.Contents(ctx, at) })
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			switch {
			case seen[m.DID]:
			case m.Type == Container:
				todo = append(todo, m.DID)
			case m.Type == Dataset:
				out = append(out, m.DID)
			}
			seen[m.DID] = true
		}
	}
	return out, nil
}

// fetch fetches all files, several at once.
func (t *downloading) fetch(ctx context.Context, all []fetchable) (*DownloadResult, error) {
	var total int64
	for i := range all {
		total += max(0, all[i].Bytes)
	}
	t.progress.Start(len(all), total)
	n := t.d.Parallel
	if n <= 0 {
		n = parallel
	}
	var g errgroup.Group
	g.SetLimit(n)
	var mu sync.Mutex
	res := &DownloadResult{}
	var errs []error
	full := false
	for i := range all {
		mu.Lock()
		stop := full
		mu.Unlock()
		if ctx.Err() != nil || stop {
			break
		}
		g.Go(func() error {
			f, err := t.one(ctx, &all[i])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				full = full || errors.Is(err, transfer.ErrNoSpace) // of this machine's disk
				return nil
			}
			res.Files = append(res.Files, *f)
			res.Bytes += f.Bytes
			if f.State == Fetched {
				res.Moved += f.Bytes
			}
			t.progress.File(f.Path)
			return nil
		})
	}
	g.Wait()
	slices.SortFunc(res.Files, func(a, b DownloadedFile) int { return cmp.Compare(a.Path, b.Path) })
	res.Failed = len(all) - len(res.Files)
	if ctx.Err() != nil {
		return res, ctx.Err()
	}
	return res, errors.Join(errs...)
}
