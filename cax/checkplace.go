package cax

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/cax-go/cax/transfer"
)

// A place is a site whose directories were found and can be looked at.
type place struct {
	site    *Site
	backend transfer.Backend
	dirs    []string
	made    []string // folders that were made and are to be removed
}

// self looks at this site's own directories.
func (c *checkup) self(ctx context.Context) {
	s := c.env.Site
	if c.over(ctx) || s.Method.gfal() && !c.grid(ctx, s) {
		return
	}
	if len(s.dirs()) == 0 {
		c.say(Finding{s.Name, AboutDirectory, CheckWarn, "the site has no directory for data", "set dir_raw, or another dir_ key"})
		return
	}
	p := &place{site: s, backend: c.env.remotes.local()}
	c.places = append(c.places, p)
	c.look(ctx, p, s.dirs(), len(s.DownloadOptions) > 0, true)
}

// remote looks at a site that we push to or pull from.
func (c *checkup) remote(ctx context.Context, r checkedRemote) {
	s := r.site
	if s.Method == MethodRucio {
		c.catalogue(ctx, s, r.push)
		return
	}
	if s.tape() {
		c.tapeCheck(ctx, s)
		return
	}
	if !s.Method.native() {
		c.say(Finding{s.Name, AboutMethod, CheckSkip, fmt.Sprintf("method %q is served by programs of its own, not by CopyPush and CopyPull of this one", s.Method), ""})
		return
	}
	if s.Method.gfal() && !c.grid(ctx, s) {
		return
	}
	dirs := c.wanted(s)
	if len(dirs) == 0 {
		c.say(Finding{s.Name, AboutDirectory, CheckWarn, fmt.Sprintf("the site has no directory for what %s copies", c.env.Site.Name),
			"set its dir_raw, or the data_type of " + c.env.Site.Name})
		dirs = []string{"/"}
	}
	l, err := c.env.remotes.open(ctx, s)
	if err == nil {
		_, err = l.backend.Lstat(ctx, dirs[0])
	}
	switch {
	case errors.Is(err, transfer.ErrHostKey):
		c.fail(ctx, s.Name, AboutHostKey, CheckFail, err, `add it to known_hosts, or set "host_key"`)
		return
	case errors.Is(err, transfer.ErrAuth):
		c.fail(ctx, s.Name, AboutLogin, CheckFail, err, "see username and identity_file, and that the server knows the key")
		return
	case err != nil && !errors.Is(err, transfer.ErrNotExist) && !errors.Is(err, transfer.ErrPermission):
		c.fail(ctx, s.Name, AboutConnection, CheckFail, err, "see hostname, port and method, and that the server runs")
		return
	}
	text := "reached as " + l.backend.String()
	if l.pool != nil {
		text += "; host key and login are good"
	}
	c.say(Finding{s.Name, AboutConnection, CheckOK, text, ""})
	if dirs[0] == "/" {
		return
	}
	p := &place{site: s, backend: l.backend}
	c.places = append(c.places, p)
	c.look(ctx, p, dirs, true, r.push)
}

// wanted are a remote's directories for the types that this site copies.
func (c *checkup) wanted(s *Site) []string {
	var dirs []string
	for _, t := range c.env.Site.Types() {
		if d := s.Dir(t); d != "" {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// look probes directories of a place: whether they are there, and, where files
// are to be made, whether that works and how much room there is. needed says that
// it is an error if not.
func (c *checkup) look(ctx context.Context, p *place, dirs []string, needed, write bool) {
	bad := CheckWarn
	if needed {
		bad = CheckFail
	}
	for _, dir := range dirs {
		if c.over(ctx) {
			return
		}
		if err := isDir(ctx, p.backend, dir); err != nil {
			c.fail(ctx, p.site.Name, AboutDirectory, CheckFail, err, fmt.Sprintf("make the directory, or mount it, at %s", p.site.Name))
			continue
		}
		p.dirs = append(p.dirs, dir)
		c.say(Finding{p.site.Name, AboutDirectory, CheckOK, dir + " is there", ""})
		if !write {
			continue
		}
		c.space(ctx, p, dir, bad)
		if c.env.DryRun {
			c.say(Finding{p.site.Name, AboutWrite, CheckSkip, "nothing is written to " + dir + " in a dry run", ""})
			continue
		}
		if err := c.mark(ctx, p, dir); err != nil {
			c.fail(ctx, p.site.Name, AboutWrite, bad, err, fmt.Sprintf("give the account that cax uses at %s permission to write to %s", p.site.Name, dir))
			continue
		}
		c.say(Finding{p.site.Name, AboutWrite, CheckOK, "files can be made in " + dir, ""})
	}
}

// isDir returns an error if a path is no directory, or leads to none.
func isDir(ctx context.Context, b transfer.Backend, dir string) error {
	i, err := b.Lstat(ctx, dir)
	if err == nil && i.Mode&os.ModeSymlink != 0 {
		i, err = b.Lstat(ctx, dir+"/.")
	}
	if err == nil && !i.Mode.IsDir() {
		err = &transfer.Error{Op: "look at", Place: b.String(), Path: dir, Kind: transfer.ErrInvalid, Err: errors.New("it is no directory")}
	}
	return err
}

// space compares the room in a directory with what is to be left free.
func (c *checkup) space(ctx context.Context, p *place, dir string, bad Grade) {
	s, ok := p.backend.(transfer.Spacer)
	if !ok {
		return
	}
	free, err := s.Free(ctx, dir)
	reserve := c.env.Policy.Reserve
	switch {
	case errors.Is(err, transfer.ErrUnsupported):
		c.say(Finding{p.site.Name, AboutSpace, CheckSkip, "the server does not tell how much room there is in " + dir, ""})
	case err != nil:
		c.fail(ctx, p.site.Name, AboutSpace, bad, err, "see df at "+p.site.Name)
	case free <= reserve:
		c.say(Finding{p.site.Name, AboutSpace, bad, fmt.Sprintf("%s are free in %s, and policy.reserve leaves %s free: nothing will be copied there", bytesText(free), dir, bytesText(reserve)),
			"make room, or lower policy.reserve"})
	default:
		c.say(Finding{p.site.Name, AboutSpace, CheckOK, fmt.Sprintf("%s are free in %s", bytesText(free), dir), ""})
	}
}

// mark makes a folder of a new name with a file in it, by the way in which
// datasets get there.
func (c *checkup) mark(ctx context.Context, p *place, dir string) error {
	folder := path.Join(dir, ".cax-check-"+rand.Text())
	p.made = append(p.made, folder) // an error may come after it was made
	if err := p.backend.Mkdir(ctx, folder); err != nil {
		return err
	}
	const text = "made by cax check, and left over if you can read this\n"
	file := path.Join(folder, "data")
	if t, ok := p.backend.(transfer.TreeCopier); ok {
		tmp, err := os.MkdirTemp("", "cax-check-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		from := filepath.Join(tmp, "data")
		if err := os.WriteFile(from, []byte(text), 0o644); err != nil {
			return err
		}
		return t.Send(ctx, from, file, true, &transfer.Tree{Stall: c.env.Policy.Stall})
	}
	w, err := p.backend.Create(ctx, file, 0, int64(len(text)), time.Time{})
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(text))
	return errors.Join(err, w.Close())
}

// storages looks for what was made at one site from the others.
func (c *checkup) storages(ctx context.Context) {
	for _, a := range c.places {
		for _, b := range c.places {
			if a == b || len(a.made) == 0 || len(b.dirs) == 0 {
				continue
			}
			// A pair of which both were written to needs one look only.
			if len(b.made) > 0 && slices.Index(c.places, a) > slices.Index(c.places, b) {
				continue
			}
			if c.over(ctx) {
				return
			}
			c.pair(ctx, a, b)
		}
	}
}

func (c *checkup) pair(ctx context.Context, a, b *place) {
	said := a.site.SameStorageAs == b.site.Name || b.site.SameStorageAs == a.site.Name
	for _, folder := range a.made {
		for _, dir := range b.dirs {
			_, err := b.backend.Lstat(ctx, path.Join(dir, path.Base(folder)))
			switch {
			case err == nil && c.env.Config.SameStorage(a.site.Name, b.site.Name):
				c.say(Finding{a.site.Name, AboutStorage, CheckOK, fmt.Sprintf("it is one storage with %s, as the configuration says: %s is %s there", b.site.Name, path.Dir(folder), dir), ""})
				return
			case err == nil:
				c.say(Finding{a.site.Name, AboutStorage, CheckWarn, fmt.Sprintf("what is written to %s appears at %s in %s: copies at both are one", path.Dir(folder), b.site.Name, dir),
					fmt.Sprintf(`set "same_storage_as": %q at %s`, b.site.Name, a.site.Name)})
				return
			case !errors.Is(err, transfer.ErrNotExist):
				c.fail(ctx, b.site.Name, AboutStorage, CheckWarn, err, "")
				return
			}
		}
	}
	if said {
		c.say(Finding{a.site.Name, AboutStorage, CheckWarn, fmt.Sprintf("the configuration says that it is one storage with %s, and what is written to one is not seen at the other", b.site.Name),
			"correct same_storage_as, if it is not meant for directories that this site does not use"})
	}
}

// clean removes what was made, whatever became of the context.
func (c *checkup) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	for _, p := range c.places {
		for _, folder := range p.made {
			if err := p.backend.Remove(ctx, folder); err != nil {
				c.say(Finding{p.site.Name, AboutWrite, CheckWarn, fmt.Sprintf("%s could not be removed: %v", folder, err), "remove it by hand"})
			}
		}
	}
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	v, i := float64(n)/1024, 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
