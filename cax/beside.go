package cax

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
)

// A manifestBeside is what a stray can be adopted from: a manifest that was saved
// beside it, or one in the run database of a run that has no record of it.
type manifestBeside struct {
	run      rundb.Run // as far as it is known; its ID is zero if it is to be made
	key      rundb.Key
	paxHash  string
	manifest *checksum.Manifest
	origin   string // for people
}

// besideFormat is the version of the first line of a manifest beside a dataset.
const besideFormat = 1

// besideHead is that first line: what the run database says about the dataset's run.
// The manifest follows, as [checksum.Manifest.WriteJSON] writes it.
type besideHead struct {
	Format   int         `json:"cax_dataset"`
	Run      string      `json:"run"` // id of the document, hexadecimal
	Number   int64       `json:"number,omitempty"`
	Name     string      `json:"name"`
	Detector string      `json:"detector"`
	Start    time.Time   `json:"start"`
	End      *time.Time  `json:"end,omitempty"`
	Source   string      `json:"source,omitempty"`
	Tags     []besideTag `json:"tags,omitempty"`
	Type     rundb.Type  `json:"type"`
	Version  string      `json:"pax_version,omitempty"`
	PaxHash  string      `json:"pax_hash,omitempty"`
}

type besideTag struct {
	Name string    `json:"name"`
	User string    `json:"user,omitempty"`
	Date time.Time `json:"date,omitzero"`
}

// SaveManifest writes the stored manifest of a copy of this site beside it, with
// what the run database says about its run, so that [Env.Reconcile] can make the
// records again if the database is lost: ".<name>.cax-manifest.json". It reports
// false if that file says the same already. rundb.ErrNotExist if there is no manifest.
func (e *Env) SaveManifest(ctx context.Context, r *rundb.Run, c *rundb.Copy) (file string, written bool, err error) {
	if c.Host != e.Site.Name || c.InPlace || !e.Site.Contains(c.Location) {
		return "", false, fmt.Errorf("%s: the copy at %s, %s, is not in a directory of %s", r, c.Host, c.Location, e.Site.Name)
	}
	m, err := e.Store.Manifest(ctx, rundb.ManifestKey{Run: r.ID, Type: c.Type, Version: c.Version})
	if err != nil {
		return "", false, err
	}
	if _, err := os.Lstat(c.Location); err != nil {
		return "", false, err
	}
	h := besideHead{Format: besideFormat, Run: r.ID.Hex(), Number: r.Number, Name: r.Name, Detector: r.Detector, Start: r.Start,
		Source: r.Source, Type: c.Type, Version: c.Version, PaxHash: c.PaxHash}
	if !r.End.IsZero() {
		h.End = &r.End
	}
	for _, t := range r.Tags {
		h.Tags = append(h.Tags, besideTag(t))
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(h); err != nil {
		return "", false, err
	}
	if err := m.WriteJSON(&text); err != nil {
		return "", false, err
	}
	file = path.Join(path.Dir(c.Location), transfer.ManifestName(path.Base(c.Location)))
	if was, err := os.ReadFile(file); err == nil && bytes.Equal(was, text.Bytes()) {
		return file, false, nil
	}
	if e.DryRun {
		return file, true, nil
	}
	return file, true, replaceFile(file, text.Bytes())
}

// replaceFile writes a file so that its name always stands for a whole one, the old
// or the new.
func replaceFile(file string, text []byte) error {
	f, err := os.CreateTemp(path.Dir(file), ".cax-manifest-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(path.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readBeside reads what SaveManifest wrote; fs.ErrNotExist if there is no file,
// checksum.ErrFormat if it is not whole.
func readBeside(file, site string) (*manifestBeside, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := parseBeside(f, site)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

// maxBesideHead bounds the first line.
const maxBesideHead = 1 << 20

// parseBeside reads the text of such a file.
func parseBeside(r io.Reader, site string) (*manifestBeside, error) {
	bad := func(err error) error { return fmt.Errorf("line 1: %w: %w", checksum.ErrFormat, err) }
	in := bufio.NewReaderSize(r, maxBesideHead)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, bad(err)
	}
	var h besideHead
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, bad(err)
	}
	if h.Format != besideFormat {
		return nil, bad(fmt.Errorf("format %d; this program knows %d", h.Format, besideFormat))
	}
	b := &manifestBeside{origin: "the manifest beside it", paxHash: h.PaxHash,
		run: rundb.Run{Number: h.Number, Name: h.Name, Detector: h.Detector, Start: h.Start, Source: h.Source},
		key: rundb.Key{Type: h.Type, Version: h.Version, Host: site}}
	if err := b.run.ID.UnmarshalText([]byte(h.Run)); err != nil {
		return nil, bad(err)
	}
	if h.End != nil {
		b.run.End = *h.End
	}
	for _, t := range h.Tags {
		b.run.Tags = append(b.run.Tags, rundb.Tag(t))
	}
	if h.Name == "" || h.Detector == "" || h.Start.IsZero() || h.Type == "" {
		return nil, bad(errors.New("its first line does not name a run"))
	}
	b.manifest, err = checksum.ReadJSON(in)
	return b, err
}

// sameNames reports whether a dataset has the files of a manifest, by names and
// sizes; no content is read.
func sameNames(ctx context.Context, dataset string, m *checksum.Manifest) (bool, error) {
	st, err := os.Stat(dataset)
	if err != nil {
		return false, err
	}
	if m.Single || !st.IsDir() {
		return m.Single && st.Mode().IsRegular() && st.Size() == m.Size(), nil
	}
	n := 0
	same := true
	err = walkTree(ctx, dataset, func(rel string, _, st fs.FileInfo) {
		if st.IsDir() {
			return
		}
		entry, ok := m.Find(rel)
		same = same && ok && !entry.Dir && st.Mode().IsRegular() && entry.Size == st.Size()
		n++
	})
	return same && n == m.Files(), err
}
