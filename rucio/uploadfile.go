package rucio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/transfer"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// unfinished is put behind the address of a file that is being uploaded, as the Python
// client does.
const unfinished = ".rucio.upload"

// parallel is how many files are moved at once where nobody says otherwise: enough to
// hide the round trips, few enough for one disk.
const parallel = 4

// each does something for many DIDs, several at once. The first error ends it.
func (t *uploading) each(ctx context.Context, dids []DID, f func(context.Context, DID) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * parallel) // small requests
	for _, d := range dids {
		g.Go(func() error { return f(ctx, d) })
	}
	return g.Wait()
}

// bring sees to every file's being at the RSE and right there. One that fails does not
// keep the others from being tried.
func (t *uploading) bring(ctx context.Context) ([]UploadedFile, error) {
	n := t.u.Parallel
	if n <= 0 {
		n = parallel
	}
	var g errgroup.Group
	g.SetLimit(n)
	var mu sync.Mutex
	var out []UploadedFile
	var errs []error
	wide, untried := 0, 0
	for i := range t.job.Files {
		g.Go(func() error {
			f := &t.job.Files[i]
			mu.Lock()
			if wide > n {
				untried++
				mu.Unlock()
				return nil
			}
			mu.Unlock()
			done, err := t.one(ctx, f)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if errs = append(errs, err); ofTheWhole(err) {
					wide++
				}
				return nil
			}
			wide = 0
			out = append(out, *done)
			t.progress.File(f.Path)
			return nil
		})
		if ctx.Err() != nil {
			break
		}
	}
	g.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if untried > 0 {
		errs = append(errs, fmt.Errorf("%d more files were not tried", untried))
	}
	slices.SortFunc(out, func(a, b UploadedFile) int { return strings.Compare(a.Name, b.Name) })
	return out, errors.Join(errs...)
}

// ofTheWhole reports whether an error says something of the storage and not of one file:
// then it is not worth to wait for it two hundred times.
func ofTheWhole(err error) bool {
	return errors.Is(err, transfer.ErrTransient) || errors.Is(err, transfer.ErrStalled) || errors.Is(err, transfer.ErrAuth) || errors.Is(err, transfer.ErrNoSpace)
}

// one brings one file, by the protocols in order until one works.
func (t *uploading) one(ctx context.Context, f *UploadFile) (*UploadedFile, error) {
	did := f.did(t.job.Dataset.Scope)
	if err := t.conflict(did, f); err != nil {
		return nil, err
	}
	var errs []error
	for _, p := range t.way {
		done, err := t.repeatedly(ctx, f, did, p)
		if err == nil {
			return done, nil
		}
		errs = append(errs, fmt.Errorf("by %s: %w", p.Scheme, err))
		if ctx.Err() != nil || inVain(err) {
			break // another way would not help
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, &Error{Op: "upload", Thing: did.String() + " to " + t.rse.Name, Kind: kindOfMove(errors.Join(errs...)), Err: errors.Join(errs...)}
}

// inVain reports whether an error is of the file itself.
func inVain(err error) bool {
	return errors.Is(err, ErrConflict) || errors.Is(err, errDamaged) || errors.Is(err, checksum.ErrCorrupt) || errors.Is(err, transfer.ErrSourceChanged) || errors.Is(err, fs.ErrNotExist)
}

// repeatedly brings a file by one protocol, again where it fails in passing, as often as
// requests to the catalogue are sent again.
func (t *uploading) repeatedly(ctx context.Context, f *UploadFile, did DID, p Protocol) (*UploadedFile, error) {
	cfg := &t.s.client.cfg
	for failures := 0; ; {
		done, err := t.by(ctx, f, did, p)
		if err == nil || ctx.Err() != nil || inVain(err) {
			return done, err
		}
		passing := errors.Is(err, transfer.ErrTransient) || errors.Is(err, transfer.ErrStalled) || errors.Is(err, ErrCorrupt)
		if failures++; failures > cfg.Retries || !passing {
			return nil, err
		}
		if t.u.Log != nil {
			t.u.Log.Info("upload of a file is tried again", zap.String("did", did.String()), zap.Int("failures", failures), zap.Error(err))
		}
		if err := sleep(ctx, pause(cfg.Backoff, failures)); err != nil {
			return nil, err
		}
	}
}

// kindOfMove gives the kind, in the terms of this package, of an error of storage or of a
// local file.
func kindOfMove(err error) error {
	for _, k := range []struct{ is, kind error }{
		{ErrConflict, ErrConflict}, {checksum.ErrCorrupt, checksum.ErrCorrupt}, {transfer.ErrSourceChanged, transfer.ErrSourceChanged},
		{ErrCorrupt, ErrCorrupt}, {transfer.ErrCorrupt, ErrCorrupt}, {transfer.ErrNoSpace, transfer.ErrNoSpace},
		{transfer.ErrStalled, ErrTransient}, {transfer.ErrTransient, ErrTransient}, {ErrTransient, ErrTransient},
		{transfer.ErrAuth, ErrAuth}, {transfer.ErrPermission, ErrPermission}, {os.ErrPermission, ErrPermission},
		{transfer.ErrNotExist, ErrNotExist}, {os.ErrNotExist, ErrNotExist}, {transfer.ErrUnsupported, ErrUnsupported}, {transfer.ErrInvalid, ErrInvalid},
	} {
		if errors.Is(err, k.is) {
			return k.kind
		}
	}
	return nil
}

// conflict refuses a file that the catalogue knows as another one, as far as that can be
// said without reading it.
func (t *uploading) conflict(did DID, f *UploadFile) error {
	r, ok := t.known[did.Name]
	if !ok {
		return nil
	}
	size := f.Size
	if len(f.Sums) == 0 {
		st, err := os.Stat(f.Path)
		if err != nil {
			return err
		}
		size = st.Size()
	}
	if r.States[t.rse.Name] == BeingDeleted {
		return &Error{Op: "upload", Thing: did.String() + " to " + t.rse.Name, Kind: ErrUnavailable, Err: errors.New("it is being deleted there now"), Hint: "try again when it is gone"}
	}
	return t.differs(&UploadedFile{DID: did, Bytes: size, Adler32: f.sum(checksum.Adler32), MD5: f.sum(checksum.MD5)})
}

// differs refuses what is not what the catalogue says of a DID. What is not known is
// not compared: a size below 0, sums that are "".
func (t *uploading) differs(f *UploadedFile) error {
	r, ok := t.known[f.Name]
	if !ok {
		return nil
	}
	if f.Bytes >= 0 && r.Bytes >= 0 && f.Bytes != r.Bytes || f.Adler32 != "" && r.Adler32 != "" && !SameAdler32(f.Adler32, r.Adler32) ||
		f.MD5 != "" && r.MD5 != "" && !strings.EqualFold(f.MD5, r.MD5) {
		return &Error{Op: "upload", Thing: f.DID.String(), Kind: ErrConflict,
			Err:  fmt.Errorf("the catalogue has it with %d bytes, adler32 %s, md5 %s, and this one has %d, %s, %s", r.Bytes, r.Adler32, r.MD5, f.Bytes, f.Adler32, f.MD5),
			Hint: "nothing was overwritten; give it another name, or find out which of the two is right"}
	}
	return nil
}

// sum is what a sum has to be; "" if that is not known.
func (f *UploadFile) sum(a checksum.Algorithm) string {
	for _, s := range f.Sums {
		if s.Algorithm() == a {
			return s.Bare()
		}
	}
	return ""
}

// errDamaged: the catalogue counts on a file at the RSE, and it is not right there.
var errDamaged = errors.New("what lies at the RSE is another file, though the catalogue has it there")

// by brings one file by one protocol.
func (t *uploading) by(ctx context.Context, f *UploadFile, did DID, p Protocol) (*UploadedFile, error) {
	st, o, err := t.s.at(ctx, t.rse, p)
	if err != nil {
		return nil, err
	}
	pfn, err := t.address(ctx, p, did)
	if err != nil {
		return nil, err
	}
	out := &UploadedFile{DID: did, PFN: pfn}
	there, err := st.Stat(ctx, pfn)
	switch {
	case errors.Is(err, transfer.ErrNotExist):
		return out, t.put(ctx, st, storage.Renames(p.storage(), o), f, out)
	case err != nil:
		return nil, err
	}
	// Something has the name: the file, or what an earlier call left.
	if err := t.expect(ctx, f, out); err != nil {
		return nil, err
	}
	if err := t.differs(out); err != nil {
		return nil, err
	}
	if there.Size == out.Bytes {
		sum, err := t.adlerAt(ctx, st, pfn)
		if err != nil {
			return nil, err
		}
		if SameAdler32(sum.Bare(), out.Adler32) {
			t.progress.Skipped(out.Bytes)
			return out, nil
		}
	}
	if t.known[did.Name].States[t.rse.Name] == Available {
		return nil, &Error{Op: "upload", Thing: pfn, Kind: ErrCorrupt, Err: errDamaged, Hint: "nothing was overwritten; declare the replica bad, so that it is replaced from another or may be uploaded anew"}
	}
	// It is not the file, and the catalogue counts on nothing there: our bytes are those
	// that belong there.
	if t.u.Log != nil {
		t.u.Log.Warn("what is at the RSE is not the file, and is replaced", zap.String("rse", t.rse.Name), zap.String("did", did.String()),
			zap.Int64("bytes", there.Size), zap.Int64("should_be", out.Bytes))
	}
	if err := st.Remove(ctx, pfn); err != nil {
		return nil, err
	}
	err = t.put(ctx, st, storage.Renames(p.storage(), o), f, out)
	out.State = Replaced
	return out, err
}

// address is where a file has its place by a protocol.
func (t *uploading) address(ctx context.Context, p Protocol, did DID) (string, error) {
	if !t.rse.Deterministic {
		for _, known := range t.known[did.Name].PFNs {
			if known.RSE == t.rse.Name {
				return known.URL, nil
			}
		}
		sub, _ := LFNPath("hash", did)
		return p.base() + sub, nil
	}
	return t.s.client.PFN(ctx, t.rse, p, did)
}

// expect says what a file has to be at the RSE: what is known of it, else what is read.
func (t *uploading) expect(ctx context.Context, f *UploadFile, out *UploadedFile) error {
	out.State = Present
	if e, ok := t.journal.sent(f); ok {
		out.Bytes, out.Adler32, out.MD5 = e.Bytes, e.Adler32, e.MD5
		return nil
	}
	_, known := t.known[out.Name]
	if adler, md5 := f.sum(checksum.Adler32), f.sum(checksum.MD5); f.Size >= 0 && adler != "" && (md5 != "" || known) {
		out.Bytes, out.Adler32, out.MD5 = f.Size, adler, md5
		return nil
	}
	d, err := t.measure(ctx, f)
	if err != nil {
		return err
	}
	out.is(d)
	return nil
}

func (f *UploadedFile) is(d *checksum.Digest) {
	f.Bytes, f.Adler32, f.MD5 = d.Size(), d.Sum(checksum.Adler32).Bare(), d.Sum(checksum.MD5).Bare()
}

// measure reads a local file and compares it with what it has to be.
func (t *uploading) measure(ctx context.Context, f *UploadFile) (*checksum.Digest, error) {
	r, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	d := f.digest()
	if _, err := io.Copy(d, &interruptible{ctx, r}); err != nil {
		return nil, err
	}
	return d, f.check(d)
}

func (f *UploadFile) digest() *checksum.Digest {
	algs := []checksum.Algorithm{checksum.Adler32, checksum.MD5}
	for _, s := range f.Sums {
		algs = append(algs, s.Algorithm())
	}
	return checksum.NewDigest(algs...)
}

// check compares what was read with what the file has to be.
func (f *UploadFile) check(d *checksum.Digest) error {
	if len(f.Sums) > 0 && f.Size >= 0 && d.Size() != f.Size {
		return &Error{Op: "read", Thing: f.Path, Kind: checksum.ErrCorrupt, Err: fmt.Errorf("it has %d bytes and should have %d", d.Size(), f.Size)}
	}
	for _, want := range f.Sums {
		if got := d.Sum(want.Algorithm()); got != want {
			return &Error{Op: "read", Thing: f.Path, Kind: checksum.ErrCorrupt, Err: fmt.Errorf("it is %s and should be %s", got, want)}
		}
	}
	return nil
}
