package rucio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cax-go/cax/checksum"
)

// An OpenedDataset gives access to the files of one dataset, wherever they are, for a
// program that places the bytes itself. It is safe for concurrent use.
type OpenedDataset struct {
	stores *stores
	from   *sources
	files  []FileReplicas // by name

	mu      sync.Mutex
	damaged map[string]map[string]bool // by name, the RSEs whose bytes were not the file
}

// OpenDataset looks up a dataset and its replicas, at the RSEs of an expression if that is
// not "". Only Client, Storage, Open and Tape of the Downloader are used. The kind is
// ErrNotExist if the catalogue does not have the dataset. Close it when done.
func OpenDataset(ctx context.Context, d *Downloader, did DID, rse string) (*OpenedDataset, error) {
	info, err := d.Client.DID(ctx, did)
	if err != nil {
		return nil, err
	}
	if info.Type != Dataset {
		return nil, &Error{Op: "open", Thing: did.String(), Kind: ErrInvalid, Err: fmt.Errorf("it is a %s and no dataset", strings.ToLower(string(info.Type)))}
	}
	s := newStores(d.Client, d.Open, d.Storage)
	o := &OpenedDataset{stores: s, from: &sources{s: s, tape: d.Tape, failed: map[string]int{}}, damaged: map[string]map[string]bool{}}
	if o.files, err = filesOf(ctx, d.Client, did, rse); err != nil {
		return nil, errors.Join(err, s.close())
	}
	slices.SortFunc(o.files, func(a, b FileReplicas) int { return strings.Compare(a.Name, b.Name) })
	return o, nil
}

// Files are the files of the dataset, by name; those too of which there is no replica to
// be read, which then have no PFNs.
func (o *OpenedDataset) Files() []FileReplicas { return slices.Clone(o.files) }

// File looks up a file by its name.
func (o *OpenedDataset) File(name string) (FileReplicas, bool) {
	i, ok := slices.BinarySearchFunc(o.files, name, func(f FileReplicas, name string) int { return strings.Compare(f.Name, name) })
	if !ok {
		return FileReplicas{}, false
	}
	return o.files[i], true
}

// Open reads a file from an offset, from the nearest replica, and goes on at the next one
// where that fails. A reader from offset 0 compares what it gave with the catalogue's
// checksum at the end: the error is then ErrCorrupt in place of io.EOF, and the RSEs that
// the bytes came from are not read for that file again. See [OpenedDataset.Damaged].
func (o *OpenedDataset) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	f, ok := o.File(name)
	if !ok {
		return nil, &Error{Op: "open", Thing: name, Kind: ErrNotExist}
	}
	bad := o.without(name)
	r, err := o.from.open(ctx, f, offset, bad, false)
	if err != nil {
		if len(bad) > 0 && errors.Is(err, ErrUnavailable) {
			return nil, &Error{Op: "read", Thing: f.DID.String(), Kind: ErrCorrupt, Err: fmt.Errorf("it is damaged at %s, and there is no other replica", strings.Join(slices.Sorted(maps.Keys(bad)), ", "))}
		}
		return nil, err
	}
	if offset != 0 || f.Adler32 == "" {
		return r, nil
	}
	return &verifying{failover: r, of: o, d: checksum.NewDigest(checksum.Adler32)}, nil
}

// Damaged counts the replicas that were found damaged while they were read. If there are
// more of them after a file could not be read, reading it again is worth while.
func (o *OpenedDataset) Damaged() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, rses := range o.damaged {
		n += len(rses)
	}
	return n
}

func (o *OpenedDataset) without(name string) map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.damaged[name])
}

// reject leaves out some RSEs for a file from now on.
func (o *OpenedDataset) reject(name string, rses []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.damaged[name] == nil {
		o.damaged[name] = map[string]bool{}
	}
	for _, rse := range rses {
		o.damaged[name][rse] = true
	}
}

// Close ends idle connections.
func (o *OpenedDataset) Close() error { return o.stores.close() }

// A verifying reader compares at the end.
type verifying struct {
	*failover
	of *OpenedDataset
	d  *checksum.Digest
}

func (v *verifying) Read(p []byte) (int, error) {
	n, err := v.failover.Read(p)
	v.d.Write(p[:n])
	if err != io.EOF {
		return n, err
	}
	if got := v.d.Sum(checksum.Adler32).Bare(); !SameAdler32(got, v.file.Adler32) {
		v.of.reject(v.file.Name, v.from())
		return n, &Error{Op: "read", Thing: v.file.DID.String(), Kind: ErrCorrupt, Err: fmt.Errorf("the adler32 of what came is %s and should be %s", got, v.file.Adler32)}
	}
	return n, err
}

// Check asks the storage of the nearest replica of a file whether it is there with the
// size that the catalogue says. The kind is ErrNotExist if it is not there, ErrCorrupt
// if its size is another one, ErrUnavailable if there is no replica to be looked at.
func (o *OpenedDataset) Check(ctx context.Context, name string) error {
	f, ok := o.File(name)
	if !ok {
		return &Error{Op: "check", Thing: name, Kind: ErrNotExist}
	}
	all := o.from.of(f, nil)
	if len(all) == 0 {
		return &Error{Op: "check", Thing: f.DID.String(), Kind: ErrUnavailable, Err: noSource(f, o.from.tape)}
	}
	st, err := o.from.storage(ctx, all[0])
	if err != nil {
		return err
	}
	info, err := st.Stat(ctx, all[0].URL)
	switch {
	case err != nil:
		return &Error{Op: "check", Thing: f.DID.String() + " at " + all[0].RSE, Kind: kindOfMove(err), Err: err}
	case f.Bytes >= 0 && info.Size != f.Bytes:
		return &Error{Op: "check", Thing: f.DID.String() + " at " + all[0].RSE, Kind: ErrCorrupt, Err: fmt.Errorf("it has %d bytes and should have %d", info.Size, f.Bytes)}
	}
	return nil
}
