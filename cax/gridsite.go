package cax

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/gfal"
)

// A site of the grid is storage that gfal reaches. No daemon of ours runs there: those
// that push to it verify it and look after it, and any process with a certificate can
// act for it (--host).

// gfal reports whether the method is that of storage of the grid; lcg-cp was an older
// program for the same.
func (m Method) gfal() bool { return m == MethodGfal || m == MethodLcg }

// verifiedByPusher reports whether whoever pushes to the site verifies the copy there.
func (s *Site) verifiedByPusher() bool { return s.Verify == verifyRemote || s.Method.gfal() }

// onGrid reports whether this process acts for storage of the grid. There are commands
// that act for no site.
func (e *Env) onGrid() bool { return e.Site != nil && e.Site.Method.gfal() }

// grid opens the storage of a site. Certificate and streams are those of this machine's
// site, as in the original, else those of the other one.
func (e *Env) grid(s *Site) (*gfal.Backend, error) {
	o := &gfal.Options{Certificate: e.gridCert(s), Streams: e.Site.NStreams}
	if o.Streams == 0 {
		o.Streams = s.NStreams
	}
	return gfal.New(s.Hostname, o)
}

func (e *Env) gridCert(s *Site) string {
	if e.Site.GridCert != "" {
		return expandHome(e.Site.GridCert)
	}
	return expandHome(s.GridCert)
}

// home is the storage of the grid for which this process acts; nil if it acts for disks
// of this machine.
func (e *Env) home() transfer.Backend {
	if !e.onGrid() {
		return nil
	}
	b, err := e.grid(e.Site)
	if err != nil {
		return nowhere{err}
	}
	return b
}

// onDisk returns an error if this site's copies are not on disks of this machine.
func (e *Env) onDisk(what string) error {
	if !e.onGrid() {
		return nil
	}
	return &transfer.Error{Op: what, Place: e.Site.Name, Kind: transfer.ErrUnsupported,
		Err: fmt.Errorf("the method of the site is %q, and this needs its disks", e.Site.Method)}
}

// possible reports whether a task can work where this site's copies are.
func (e *Env) possible(t Task) bool {
	if _, ok := t.(correctionTask); ok {
		return true // it needs the run database alone
	}
	return !e.onGrid() || slices.Contains([]string{"CopyPush", "CompareChecksums", "RetryStalledTransfer", "RetryBadChecksumTransfer",
		"CopyPull", "AddChecksum", "AddSize", "PurgeProcessed", "BufferPurger", "EmptyTrash"}, t.Name())
}

// checkGrid looks at the address of storage of the grid.
func (d *decoder) checkGrid(s siteNode) {
	n, m := s.vals["hostname"], s.vals["method"]
	if !s.site.Method.gfal() {
		return
	}
	if n != nil && s.site.Hostname != "" {
		if _, err := gfal.New(s.site.Hostname, nil); err != nil {
			e := &transfer.Error{}
			errors.As(err, &e)
			d.fail(n.off, s.at+".hostname", e.Err.Error(), e.Hint)
		}
	}
	if s.site.Method == MethodLcg && !d.said["lcg-cp"] {
		d.said["lcg-cp"] = true
		d.note(m.off, s.at+".method", `"lcg-cp" is taken for "gfal-copy": the programs of lcg are no more`, `write "gfal-copy"`)
	}
	if s.site.Bandwidth.BytesPerSecond > 0 || len(s.site.Bandwidth.Table) > 0 {
		d.note(s.vals["bandwidth"].off, s.at+".bandwidth", "gfal-copy cannot bound its rate: the bound holds on average, from file to file", "nothing, if that is enough")
	}
}

// TrashTime is how long the bytes of a copy that a person deletes are kept: the policy's
// time, but for storage of the grid, where nobody would come to remove them.
func (e *Env) TrashTime() time.Duration {
	if e.onGrid() {
		return 0
	}
	return e.Policy.Trash
}

// verifyGrid compares a copy of this site, which is storage of the grid, with the
// manifest, by the sums that the storage tells.
func (e *Env) verifyGrid(ctx context.Context, c *rundb.Copy, m *checksum.Manifest, p transfer.Progress) (*verification, error) {
	if m == nil {
		return nil, &transfer.Error{Op: "verify", Place: e.Site.Name, Path: c.Location, Kind: transfer.ErrUnsupported,
			Err: errors.New("no manifest says what it should be"), Hint: "verify another copy first, with cax verify --repair-manifest"}
	}
	home := transfer.Location{Backend: e.remotes.local(), Path: c.Location}
	if _, err := home.Backend.Lstat(ctx, e.Site.Dir(c.Type)); err != nil && !c.InPlace {
		// Says nothing about the copy.
		return nil, fmt.Errorf("%s, the directory for %s data of %s, cannot be looked into (%v)", e.Site.Dir(c.Type), c.Type, e.Site.Name, err)
	}
	v, err := (&transfer.Copier{Stall: e.Policy.Stall}).Verify(ctx, home, m, p)
	if err != nil {
		return nil, err
	}
	if err := checksum.Differ(c.Location, v.Differences); err != nil {
		return nil, &finding{err: err}
	}
	sum, err := m.LegacySum(checksum.SHA512)
	return &verification{manifest: m, known: true, sum: sum, by: v.By}, err
}

// gridLeftovers is leftovers for storage of the grid.
func (e *Env) gridLeftovers(ctx context.Context, kind transfer.LeftoverKind) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		b, err := e.grid(e.Site)
		if err != nil {
			yield("", err)
			return
		}
		var dirs []string
		for _, t := range []rundb.Type{rundb.Raw, rundb.Processed} {
			if d := e.Site.Dir(t); d != "" {
				dirs = append(dirs, d)
			}
		}
		for len(dirs) > 0 {
			dir := dirs[0]
			dirs = dirs[1:]
			found, err := b.ListDir(ctx, dir)
			if err != nil && !errors.Is(err, transfer.ErrNotExist) && !yield("", err) {
				return
			}
			for _, i := range found {
				l, ok := transfer.ParseLeftover(i.Path)
				switch {
				case ok && l.Kind == kind && !yield(path.Join(dir, i.Path), nil):
					return
				case i.Mode.IsDir() && strings.HasPrefix(i.Path, "pax_"):
					dirs = append(dirs, path.Join(dir, i.Path))
				}
			}
		}
	}
}

// nowhere is the place of a site whose address cannot be one.
type nowhere struct{ err error }

func (nowhere) String() string { return "nowhere" }
func (n nowhere) Lstat(context.Context, string) (transfer.Info, error) {
	return transfer.Info{}, n.err
}
func (n nowhere) List(context.Context, string) iter.Seq2[transfer.Info, error] {
	return func(yield func(transfer.Info, error) bool) { yield(transfer.Info{}, n.err) }
}
func (n nowhere) Open(context.Context, string, int64) (io.ReadCloser, error) { return nil, n.err }
func (n nowhere) Create(context.Context, string, int64, int64, time.Time) (io.WriteCloser, error) {
	return nil, n.err
}
func (n nowhere) Mkdir(context.Context, string) error          { return n.err }
func (n nowhere) Rename(context.Context, string, string) error { return n.err }
func (n nowhere) Remove(context.Context, string) error         { return n.err }
func (nowhere) Close() error                                   { return nil }
