package rucio

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"go.uber.org/zap"
)

// An Uploader brings files to an RSE. Its fields must not be changed after the first
// use; then it is safe for concurrent use.
type Uploader struct {
	Client *Client // required

	// Storage says how to log in to storage and how patient to be. nil: as to the
	// catalogue.
	Storage *storage.Options
	Open    StorageOpener // nil: storage.Open

	Parallel int         // files at once; 0: 4
	Journal  string      // folder for what a killed upload was about, see [Uploader.Undo]; "": none is kept
	Log      *zap.Logger // what an operator should see; nil: none
}

// An Upload is what [Uploader.Upload] brings to an RSE: files that become members of one
// dataset.
type Upload struct {
	Files   []UploadFile
	Dataset DID    // made if it is not there; its scope is that of the files too
	RSE     string // name, or an expression of which the first is taken

	Lifetime *time.Duration // of the rule that keeps the dataset there; nil: for ever
	Metadata map[string]any // of the dataset and its files; keys as for [Client.SetMetadata]

	// Commit is asked when all files are at the RSE and verified, before the catalogue
	// is told. Its error ends the upload. nil: nobody is asked.
	Commit func(ctx context.Context) error

	Progress Progress // nil: none
}

// An UploadFile is a local file and the name that it gets in the catalogue.
type UploadFile struct {
	Path string
	Name string // "": the base name of Path

	// Size and Sums are what the file has to be: its bytes are compared while they are
	// read, so that damage at the source is found. Size < 0, and no sums, are not
	// compared. A file that is at the RSE already is recognised without reading it here
	// if there is an adler32 among the sums, and a md5 or an entry in the catalogue.
	Size int64
	Sums []checksum.Sum
}

func (f *UploadFile) did(scope string) DID {
	name := f.Name
	if name == "" {
		name = filepath.Base(f.Path)
	}
	return DID{scope, name}
}

// An UploadState says what became of one file, or would.
type UploadState string

// The states of uploads.
const (
	Uploaded UploadState = "uploaded" // its bytes were sent
	Present  UploadState = "present"  // they were there already, and are right; what the catalogue lacked was added
	Replaced UploadState = "replaced" // what was there was not the file, and nobody could count on it
)

// An UploadedFile is a file at the RSE, verified there.
type UploadedFile struct {
	DID
	PFN          string
	Bytes        int64
	Adler32, MD5 string
	State        UploadState
}

// An UploadResult tells what an upload did. The files are ordered by name.
type UploadResult struct {
	RSE   string
	Rule  string // id of the rule that keeps the dataset there
	Files []UploadedFile
	Bytes int64 // of all files
	Sent  int64 // of those that were sent
}

// Upload brings all files to the RSE, verifies each there, and only then tells the
// catalogue: replicas, membership in the dataset, rule, metadata, in this order and in
// few requests. Nobody sees a part of the dataset.
//
// It can be killed at any point and called again: files that are at the RSE and right
// are not sent again, temporary ones of an earlier call are replaced, and what the catalogue has
// already is left as it is. A second upload of the same files changes nothing, unless the
// rule was to end earlier than a new one would: then it lives as long as that. A file
// whose name the catalogue knows with another checksum or size is refused with
// [ErrConflict], and nothing is overwritten. Neither is a file that the catalogue says
// is available at that RSE and that is damaged there: that is [ErrCorrupt], and for
// who may to declare bad. What fails in passing is tried again a few times.
//
// Other kinds are ErrQuota where the account may not store as much there,
// ErrUnavailable where the RSE takes no writes, ErrUnsupported where none of its
// protocols is spoken here. Errors of single files are joined; after one the catalogue
// was told of none of them.
func (u *Uploader) Upload(ctx context.Context, job Upload) (res *UploadResult, err error) {
	s := newStores(u.Client, u.Open, u.Storage)
	defer func() { err = errors.Join(err, s.close()) }()
	t, err := u.prepare(ctx, s, &job)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.journal.close()) }()
	return t.run(ctx)
}

// A transferring upload, with what was found out before any byte moves.
type uploading struct {
	u        *Uploader
	s        *stores
	job      *Upload
	rse      RSE
	domain   string
	way      []Protocol // to write, the best first
	known    map[string]FileReplicas
	members  map[DID]bool // of the dataset, if it was there
	journal  *journal
	progress Progress
}

func (u *Uploader) prepare(ctx context.Context, s *stores, job *Upload) (*uploading, error) {
	bad := func(format string, args ...any) error {
		return &Error{Op: "upload", Thing: job.Dataset.String(), Kind: ErrInvalid, Err: fmt.Errorf(format, args...)}
	}
	names := map[string]bool{}
	for i := range job.Files {
		name := job.Files[i].did("").Name
		if names[name] {
			return nil, bad("two files are called %q", name)
		}
		names[name] = true
	}
	switch {
	case job.Dataset.Scope == "" || job.Dataset.Name == "":
		return nil, bad("the dataset has no name")
	case len(job.Files) == 0:
		return nil, bad("it has no files")
	case names[job.Dataset.Name]:
		return nil, bad("a file has the name of the dataset")
	}
	t := &uploading{u: u, s: s, job: job, progress: job.Progress}
	if t.progress == nil {
		t.progress = noProgress{}
	}
	rses, err := s.client.RSEs(ctx, job.RSE)
	if err != nil {
		return nil, err
	}
	slices.Sort(rses)
	if t.rse, t.domain, err = s.rse(ctx, rses[0]); err != nil {
		return nil, err
	}
	if !t.rse.Writable {
		return nil, &Error{Op: "upload to", Thing: "RSE " + t.rse.Name, Kind: ErrUnavailable, Err: errors.New("it takes no writes now")}
	}
	if t.way, err = s.usable(ctx, t.rse, t.domain, OpWrite); err != nil {
		return nil, err
	}
	if err := t.takes(ctx, names); err != nil {
		return nil, err
	}
	if err := t.lookUp(ctx); err != nil {
		return nil, err
	}
	var errs []error
	for i := range job.Files { // before any byte moves
		errs = append(errs, t.conflict(job.Files[i].did(job.Dataset.Scope), &job.Files[i]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := t.afford(ctx); err != nil {
		return nil, err
	}
	t.journal, err = openJournal(u.Journal, job.Dataset, t.rse.Name)
	return t, err
}

// takes refuses a dataset that could not get the files in the end.
func (t *uploading) takes(ctx context.Context, names map[string]bool) error {
	c, ds := t.s.client, t.job.Dataset
	info, err := c.DID(ctx, ds)
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Type != Dataset {
		return &Error{Op: "upload to", Thing: ds.String(), Kind: ErrConflict, Err: fmt.Errorf("it is a %s in the catalogue", strings.ToLower(string(info.Type)))}
	}
	missing := maps.Clone(names)
	members, err := insist(ctx, c, func() iter.Seq2[DIDEntry, error] { return c.Contents(ctx, ds) })
	if err != nil {
		return err
	}
	t.members = map[DID]bool{}
	for _, m := range members {
		t.members[m.DID] = true
		if m.Scope == ds.Scope {
			delete(missing, m.Name)
		}
	}
	if !info.Open && len(missing) > 0 {
		return &Error{Op: "upload to", Thing: ds.String(), Kind: ErrConflict, Err: fmt.Errorf("it is closed, and %d of the files are not in it", len(missing))}
	}
	return nil
}

// lookUp asks the catalogue which of the files it knows.
func (t *uploading) lookUp(ctx context.Context) error {
	t.known = map[string]FileReplicas{}
	var dids []DID
	asked := map[DID]bool{}
	for i := range t.job.Files {
		d := t.job.Files[i].did(t.job.Dataset.Scope)
		dids = append(dids, d)
		asked[d] = true
	}
	for part := range slices.Chunk(dids, bulk) {
		found, err := insist(ctx, t.s.client, func() iter.Seq2[FileReplicas, error] {
			return t.s.client.Replicas(ctx, ReplicaQuery{DIDs: part, AllStates: true, Schemes: []string{t.way[0].Scheme}})
		})
		if err != nil {
			return err
		}
		for _, r := range found {
			if asked[r.DID] { // and is not a file of a dataset of that name
				t.known[r.Name] = r
			}
		}
	}
	return nil
}

// afford refuses an upload that the quota would not allow, before bytes are moved: the
// catalogue says so only when they are there.
func (t *uploading) afford(ctx context.Context) error {
	var need int64
	for i := range t.job.Files {
		f := &t.job.Files[i]
		if r, ok := t.known[f.did("").Name]; ok && r.States[t.rse.Name] == Available {
			continue
		}
		st, err := os.Stat(f.Path)
		if err != nil {
			return err
		}
		need += st.Size()
	}
	account := t.s.client.Account()
	if need == 0 || account == "root" { // who needs none
		return nil
	}
	all, err := insist(ctx, t.s.client, func() iter.Seq2[AccountUsage, error] { return t.s.client.AccountUsage(ctx, account) })
	if errors.Is(err, ErrPermission) || errors.Is(err, ErrNotExist) {
		return nil // it is said when the rule is made
	}
	if err != nil {
		return err
	}
	short := func(err error, hint string) error {
		return &Error{Op: "upload to", Thing: "RSE " + t.rse.Name, Kind: ErrQuota, Err: err, Hint: hint}
	}
	i := slices.IndexFunc(all, func(a AccountUsage) bool { return a.RSE == t.rse.Name })
	switch {
	case i < 0 || all[i].Limit == 0:
		return short(fmt.Errorf("account %s has no quota there", account), "ask for some")
	case all[i].Limit != Unlimited && all[i].Left < need:
		return short(fmt.Errorf("account %s may store %d bytes more there, and %d are needed", account, max(0, all[i].Left), need), "ask for more quota, or let rules there end")
	}
	return nil
}

// run moves what has to be moved and then tells the catalogue.
func (t *uploading) run(ctx context.Context) (*UploadResult, error) {
	var total int64
	for i := range t.job.Files {
		if st, err := os.Stat(t.job.Files[i].Path); err == nil {
			total += st.Size()
		}
	}
	t.progress.Start(len(t.job.Files), total)
	files, err := t.bring(ctx)
	if err != nil {
		return nil, err
	}
	if t.job.Commit != nil {
		if err := t.job.Commit(ctx); err != nil {
			return nil, err
		}
	}
	res := &UploadResult{RSE: t.rse.Name, Files: files}
	for _, f := range files {
		res.Bytes += f.Bytes
		if f.State != Present {
			res.Sent += f.Bytes
		}
	}
	if res.Rule, err = t.tell(ctx, files); err != nil {
		return nil, err
	}
	if err := t.prove(ctx, files); err != nil {
		return nil, err
	}
	return res, t.journal.end()
}
