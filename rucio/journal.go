package rucio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cax-go/cax/rucio/storage"
)

// A journal keeps what an upload that is under way has sent, in a file of lines of JSON
// that only grows. Catalogue and storage are enough to finish an upload; the journal spares
// to read its files here once more, and tells what is to be removed if it is given up. A
// nil journal keeps nothing.
type journal struct {
	path string

	mu      sync.Mutex
	file    *os.File
	entries map[string]journalEntry // by path of the local file; the last one of each counts
	begun   map[string]journalEntry // by PFN
}

// A journalEntry says that a file is about to be sent, or that it was and is verified.
type journalEntry struct {
	Path     string    `json:"path"`
	Name     string    `json:"name"`
	PFN      string    `json:"pfn"`
	Size     int64     `json:"size"` // of the local file then
	Modified time.Time `json:"modified"`
	Done     bool      `json:"done,omitempty"`
	Bytes    int64     `json:"bytes,omitempty"`
	Adler32  string    `json:"adler32,omitempty"`
	MD5      string    `json:"md5,omitempty"`
}

// openJournal opens or makes the journal of one dataset at one RSE.
func openJournal(dir string, ds DID, rse string) (*journal, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	j := &journal{path: journalPath(dir, ds, rse), entries: map[string]journalEntry{}, begun: map[string]journalEntry{}}
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	j.file = f
	whole := true
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 {
			break
		}
		if whole = err == nil; !whole {
			break // the end of a killed upload
		}
		var e journalEntry
		if err := json.Unmarshal(line, &e); err == nil { // else it was cut once
			j.keep(e)
		}
	}
	if !whole {
		_, err = f.WriteString("\n")
	}
	return j, err
}

// journalPath is the file of a journal.
func journalPath(dir string, ds DID, rse string) string {
	name := strings.NewReplacer("%", "%25", "/", "%2F", string(filepath.Separator), "%5C").Replace(ds.Scope + ":" + ds.Name + "@" + rse)
	return filepath.Join(dir, name+".upload")
}

func (j *journal) keep(e journalEntry) {
	j.entries[e.Path] = e
	j.begun[e.PFN] = e
}

// write adds an entry and makes it durable.
func (j *journal) write(f *UploadFile, out *UploadedFile, done bool) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.entries[f.Path] // from before it was read
	if done {
		e.Done, e.Bytes, e.Adler32, e.MD5 = true, out.Bytes, out.Adler32, out.MD5
	} else {
		st, err := os.Stat(f.Path)
		if err != nil {
			return err
		}
		e = journalEntry{Path: f.Path, Name: out.Name, PFN: out.PFN, Size: st.Size(), Modified: st.ModTime()}
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	j.keep(e)
	return j.file.Sync()
}

// begin notes that a file is going to be sent.
func (j *journal) begin(f *UploadFile, out *UploadedFile) error { return j.write(f, out, false) }

// done notes that a file is at the RSE and verified.
func (j *journal) done(f *UploadFile, out *UploadedFile) error { return j.write(f, out, true) }

// sent gives what an earlier call has sent of a file, if the file has not changed since and
// is what it has to be.
func (j *journal) sent(f *UploadFile) (journalEntry, bool) {
	if j == nil {
		return journalEntry{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.entries[f.Path]
	if !ok || !e.Done {
		return journalEntry{}, false
	}
	st, err := os.Stat(f.Path)
	same := err == nil && st.Size() == e.Size && st.ModTime().Equal(e.Modified) && (len(f.Sums) == 0 || f.Size < 0 || f.Size == e.Bytes)
	return e, same
}

// close ends the use of the file, which stays for the next call.
func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}

// end removes the journal of an upload that is finished.
func (j *journal) end() error {
	if j == nil {
		return nil
	}
	return errors.Join(j.close(), os.Remove(j.path))
}

// Undo gives up an upload that did not come to its end: what it has put at the RSE and the
// catalogue does not have there is removed, temporary files too. What the catalogue has
// stays, as do dataset, memberships and rules. It needs the Journal of that upload, and no
// other upload of these files may be under way. removed are the addresses of whole files.
// There being no journal is no error: then there is nothing to undo.
func (u *Uploader) Undo(ctx context.Context, dataset DID, rse string) (removed []string, err error) {
	if u.Journal == "" {
		return nil, &Error{Op: "undo upload to", Thing: dataset.String(), Kind: ErrInvalid, Err: errors.New("without a journal nobody knows what is to be undone")}
	}
	if _, err := os.Stat(journalPath(u.Journal, dataset, rse)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s := newStores(u.Client, u.Open, u.Storage)
	j, err := openJournal(u.Journal, dataset, rse)
	defer func() { err = errors.Join(err, s.close(), j.close()) }()
	if err != nil {
		return nil, err
	}
	r, domain, err := s.rse(ctx, rse)
	if err != nil {
		return nil, err
	}
	ways, err := s.usable(ctx, r, domain, OpDelete)
	if err != nil {
		return nil, err
	}
	var dids []DID
	for _, e := range j.begun {
		dids = append(dids, DID{dataset.Scope, e.Name})
	}
	known, err := insist(ctx, u.Client, func() iter.Seq2[FileReplicas, error] {
		return u.Client.Replicas(ctx, ReplicaQuery{DIDs: dids, AllStates: true})
	})
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for _, f := range known {
		_, kept[f.Name] = f.States[rse]
	}
	var errs []error
	for _, pfn := range slices.Sorted(maps.Keys(j.begun)) {
		has := kept[j.begun[pfn].Name]
		if err := s.erase(ctx, r, ways, pfn, !has); err != nil {
			errs = append(errs, err)
		} else if !has {
			removed = append(removed, pfn)
		}
	}
	if len(errs) > 0 {
		return removed, errors.Join(errs...)
	}
	return removed, j.end()
}

// erase removes the temporary file of an address and, if it is to be, the file.
func (s *stores) erase(ctx context.Context, r RSE, ways []Protocol, pfn string, whole bool) error {
	for _, w := range ways {
		if !hasPrefix(pfn, w.base()) {
			continue
		}
		st, o, err := s.at(ctx, r, w)
		if err != nil {
			return err
		}
		if storage.Renames(w.storage(), o) {
			if err := st.Remove(ctx, pfn+unfinished); err != nil {
				return err
			}
		}
		if whole {
			return st.Remove(ctx, pfn)
		}
		return nil
	}
	return &Error{Op: "remove", Thing: pfn, Kind: ErrUnsupported, Err: fmt.Errorf("no protocol of %s that may delete leads there", r.Name)}
}
