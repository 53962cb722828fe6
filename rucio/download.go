package rucio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cax-go/cax/checksum"
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
		for r, err := range t.d.Client.Replicas(ctx, ReplicaQuery{DIDs: []DID{ds}, Schemes: schemes(), RSEExpression: t.job.RSE}) {
			if err != nil {
				return nil, err
			}
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

// below lists the datasets of a container, and of the containers in it.
func (t *downloading) below(ctx context.Context, c DID) ([]DID, error) {
	seen := map[DID]bool{c: true}
	var out []DID
	for todo := []DID{c}; len(todo) > 0; {
		at := todo[0]
		todo = todo[1:]
		for m, err := range t.d.Client.Contents(ctx, at) {
			if err != nil {
				return nil, err
			}
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
	for i := range all {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			f, err := t.one(ctx, &all[i])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
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

// one fetches one file.
func (t *downloading) one(ctx context.Context, w *fetchable) (*DownloadedFile, error) {
	bad := func(kind error, err error, hint string) error {
		return &Error{Op: "download", Thing: w.DID.String(), Kind: kind, Err: err, Hint: hint}
	}
	if w.Adler32 == "" && w.MD5 == "" && !t.job.Unchecked {
		return nil, bad(ErrCorrupt, errors.New("the catalogue has no checksum of it, so that nobody could say whether it is right"), "")
	}
	if err := os.MkdirAll(filepath.Dir(w.path), 0o755); err != nil {
		return nil, err
	}
	out := &DownloadedFile{DID: w.DID, Path: w.path, State: There}
	switch st, err := os.Lstat(w.path); {
	case err == nil && !st.Mode().IsRegular():
		return nil, bad(ErrConflict, fmt.Errorf("%s is no file", w.path), "move it away")
	case err == nil:
		dig, err := hashFile(ctx, w.path, -1)
		if err != nil {
			return nil, err
		}
		if wrong := w.wrong(dig); wrong == nil {
			t.progress.Skipped(dig.Size())
			out.is(dig)
			return out, nil
		} else if !t.job.Overwrite {
			return nil, bad(ErrConflict, fmt.Errorf("%s is another file: %w", w.path, wrong), "move it away, or say that it may be overwritten")
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	dig, used, err := t.part(ctx, w)
	if err != nil {
		return nil, err
	}
	out.is(dig)
	out.State, out.RSE = Fetched, used
	return out, t.name(w.path+".part", w.path)
}

func (f *DownloadedFile) is(d *checksum.Digest) {
	f.Bytes, f.Adler32, f.MD5 = d.Size(), d.Sum(checksum.Adler32).Bare(), d.Sum(checksum.MD5).Bare()
}

// wrong says how a file differs from what the catalogue says; nil if it does not.
func (w *fetchable) wrong(d *checksum.Digest) error {
	switch {
	case w.Bytes >= 0 && d.Size() != w.Bytes:
		return fmt.Errorf("it has %d bytes and should have %d", d.Size(), w.Bytes)
	case w.Adler32 != "" && !SameAdler32(d.Sum(checksum.Adler32).Bare(), w.Adler32):
		return fmt.Errorf("its adler32 is %s and should be %s", d.Sum(checksum.Adler32).Bare(), w.Adler32)
	case w.MD5 != "" && !strings.EqualFold(d.Sum(checksum.MD5).Bare(), w.MD5):
		return fmt.Errorf("its md5 is %s and should be %s", d.Sum(checksum.MD5).Bare(), w.MD5)
	}
	return nil
}

// hashFile reads a file, up to a length if that is not negative.
func hashFile(ctx context.Context, path string, limit int64) (*checksum.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := checksum.NewDigest(checksum.Adler32, checksum.MD5)
	var r io.Reader = &interruptible{ctx, f}
	if limit >= 0 {
		r = io.LimitReader(r, limit)
	}
	_, err = io.Copy(d, r)
	return d, err
}

// part brings a file's bytes into NAME.part, from one replica after the other until they
// are right.
func (t *downloading) part(ctx context.Context, w *fetchable) (*checksum.Digest, []string, error) {
	path := w.path + ".part"
	without := map[string]bool{}
	var errs []error
	for {
		d, used, resumed, err := t.read(ctx, w, path, without)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err == nil {
			if err = w.wrong(d); err == nil {
				return d, used, nil
			}
			if rerr := os.Remove(path); rerr != nil {
				return nil, nil, rerr
			}
			err = fmt.Errorf("what came from %s is not what the catalogue says: %w", strings.Join(used, ", "), err)
			if resumed {
				continue // it may have been the part
			}
		}
		errs = append(errs, err)
		if t.d.Log != nil {
			t.d.Log.Warn("download goes on elsewhere", zap.String("did", w.DID.String()), zap.Error(err))
		}
		for _, rse := range used {
			without[rse] = true
		}
		if len(used) == 0 || len(t.from.of(w.FileReplicas, without)) == 0 {
			all := errors.Join(errs...)
			kind := kindOfMove(all)
			var e *Error
			if kind == nil {
				if kind = ErrCorrupt; errors.As(all, &e) && e.Kind != nil {
					kind = e.Kind
				}
			}
			return nil, nil, &Error{Op: "download", Thing: w.DID.String(), Kind: kind, Err: all}
		}
	}
}

// read appends to a part what is missing. used are the RSEs that gave bytes; resumed tells
// that there were some before.
func (t *downloading) read(ctx context.Context, w *fetchable, path string, without map[string]bool) (d *checksum.Digest, used []string, resumed bool, err error) {
	d = checksum.NewDigest(checksum.Adler32, checksum.MD5)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(d, &interruptible{ctx, f}); err != nil {
		return nil, nil, false, err
	}
	if w.Bytes >= 0 && d.Size() > w.Bytes {
		if err := errors.Join(f.Truncate(0), seekStart(f)); err != nil {
			return nil, nil, false, err
		}
		d.Reset()
	}
	resumed = d.Size() > 0
	if w.Bytes >= 0 && d.Size() == w.Bytes {
		if t.progress.Skipped(d.Size()); resumed || w.Bytes == 0 {
			return d, nil, resumed, f.Sync()
		}
	}
	t.progress.Skipped(d.Size())
	r, err := t.from.open(ctx, w.FileReplicas, d.Size(), without)
	if errors.Is(err, transfer.ErrUnsupported) {
		return t.byProgram(ctx, w, path, without)
	}
	if err != nil {
		return nil, nil, resumed, err
	}
	defer r.Close()
	_, err = io.Copy(io.MultiWriter(f, d, counter(t.progress.Moved)), r)
	for rse := range r.used {
		used = append(used, rse)
	}
	slices.Sort(used)
	if err != nil {
		return nil, used, resumed, err
	}
	return d, used, resumed, f.Sync()
}

func seekStart(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

type counter func(int64)

func (c counter) Write(p []byte) (int, error) {
	c(int64(len(p)))
	return len(p), nil
}

// byProgram fetches the part by a program that wants paths, where there is nothing else.
func (t *downloading) byProgram(ctx context.Context, w *fetchable, path string, without map[string]bool) (d *checksum.Digest, used []string, resumed bool, err error) {
	var errs []error
	for _, p := range t.from.of(w.FileReplicas, without) {
		st, err := t.from.storage(ctx, p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g, ok := st.(storage.FileGetter)
		if !ok {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, false, err
		}
		if err := g.GetFile(ctx, p.URL, path, t.progress.Moved); err != nil {
			errs = append(errs, err)
			continue
		}
		d, err := hashFile(ctx, path, -1)
		return d, []string{p.RSE}, false, err
	}
	return nil, nil, false, &Error{Op: "read", Thing: w.DID.String(), Kind: kindOfMove(errors.Join(errs...)), Err: errors.Join(errs...)}
}

// name gives a verified part its name.
func (t *downloading) name(part, path string) error {
	if t.job.Overwrite {
		return os.Rename(part, path)
	}
	// A link refuses to replace; file systems without links get a rename after a look.
	switch err := os.Link(part, path); {
	case err == nil:
		return os.Remove(part)
	case errors.Is(err, fs.ErrExist):
		return &Error{Op: "download", Thing: path, Kind: ErrConflict, Err: errors.New("somebody else made it meanwhile")}
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return &Error{Op: "download", Thing: path, Kind: ErrConflict, Err: errors.New("somebody else made it meanwhile")}
	}
	return os.Rename(part, path)
}
