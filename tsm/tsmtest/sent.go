package tsmtest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// send is archive and incremental.
func (p *program) send() error {
	archive := p.call.op == "archive"
	specs := p.call.specs
	_, byList := p.call.options["filelist"]
	if byList {
		listed, bad, err := p.call.listed()
		if err != nil {
			return err
		}
		if bad != "" {
			p.says("ANS1081E", "Invalid search file specification '"+bad+"' entered")
			return nil
		}
		specs = listed
	}
	volume := "?"
	if len(specs) > 0 {
		volume = specs[0]
	}
	if archive {
		p.printf("Archive function invoked.\n")
	} else {
		p.printf("Incremental backup of volume '%s'", volume)
	}
	paths, err := p.toSend(specs, byList)
	if err != nil {
		return err
	}
	if archive && len(paths) == 0 {
		p.says("ANS1092W", "No files matching search criteria were found")
		return nil
	}
	mounted := 0
	for _, path := range paths {
		if !p.next() {
			return nil
		}
		if err := p.sendOne(path, archive, &mounted); err != nil {
			return err
		}
		p.done++
	}
	if !archive && !byList {
		if err := p.expire(specs); err != nil {
			return err
		}
	}
	p.finish()
	switch {
	case archive && p.failed == 0:
		p.printf("Archive processing of '%s' finished without failure.", volume)
	case archive:
		p.says("ANS1803E", fmt.Sprintf("Archive processing of '%s' finished with failures.", volume))
		p.exit = 4
	case p.failed == 0:
		p.printf("Successful incremental backup of '%s'", volume)
	default:
		p.says("ANS1802E", fmt.Sprintf("Incremental backup of '%s' finished with %d failure(s)", volume, p.failed))
	}
	verb := "backed up"
	if archive {
		verb = "archived"
	}
	p.sums(verb)
	return nil
}

// toSend lists what specifications mean: a trailing slash the content of a directory.
func (p *program) toSend(specs []string, byList bool) ([]string, error) {
	var out []string
	for _, s := range specs {
		if byList || !strings.HasSuffix(s, "/") {
			out = append(out, s)
			continue
		}
		root := filepath.Clean(s)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && path != root && p.call.options["subdir"] != "yes" {
				return fs.SkipDir
			}
			if path != root {
				out = append(out, path)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return out, nil
}

// leaveOut says that an object is not sent, and why.
func (p *program) leaveOut(path, code, why string) {
	p.says("ANS1228E", "Sending of object '"+path+"' failed.")
	p.says(code, why)
	p.failed++
}

func (p *program) sendOne(path string, archive bool, mounted *int) error {
	p.inspected++
	if !utf8.ValidString(path) && strings.Contains(os.Getenv("LC_ALL"), "UTF-8") {
		p.leaveOut(path, "ANS4042E", "Object name '"+path+"' contains one or more unrecognized characters and is not valid.")
		return nil
	}
	st, err := os.Stat(path)
	if err != nil {
		p.leaveOut(path, "ANS4005E", "Error processing '"+path+"': file not found")
		return nil
	}
	kind := "Normal File"
	if st.IsDir() {
		kind = "Directory"
	}
	p.seen += st.Size()
	switch {
	case p.strikes(Changing):
		p.object("", kind, st.Size(), path, "  Changed")
		for i := range 4 {
			p.retries++
			p.object(fmt.Sprintf("Retry # %d  ", i+1), kind, st.Size(), path, "  Changed")
		}
		p.leaveOut(path, "ANS4037E", "Object '"+path+"' changed during processing.\nObject skipped.")
		return nil
	case p.strikes(ChangedOnce):
		p.object("", kind, st.Size(), path, "  Changed")
		p.retries++
	}
	r := &record{Archive: archive, Dir: st.IsDir(), Path: []byte(path), Size: st.Size(), Date: time.Now().UTC(), Description: p.call.options["description"], Active: true, ModTime: st.ModTime().UTC()}
	if archive && r.Description == "" {
		r.Description = "Archive Date: " + r.Date.Format("01/02/2006")
	}
	prefix := ""
	if p.strikes(ChangedOnce) {
		prefix = "Retry # 1  "
	}
	if !archive {
		same, err := p.replaces(r)
		if err != nil || same {
			return err
		}
	}
	if !p.strikes(Loses) {
		if err := p.keep(r, path); err != nil {
			return err
		}
		if *mounted != r.Volume {
			*mounted = r.Volume
			if err := p.mount(r.Volume); err != nil {
				return err
			}
		}
	}
	p.moved++
	p.sum += st.Size()
	p.object(prefix, kind, st.Size(), path, " [Sent]")
	return nil
}

// keep puts an object on tape: its data first, so that the catalogue never names what
// is not there.
func (p *program) keep(r *record, path string) error {
	return p.tape.locked(func() (err error) {
		if err := p.tape.place(r); err != nil {
			return err
		}
		if !r.Dir {
			size := r.Size
			if p.strikes(Shortens) {
				size /= 2
			}
			if r.Size, err = copyFile(p.tape.data(r.ID), path, size); err != nil {
				return err
			}
		}
		return p.tape.appendLine("catalogue", r)
	})
}

// copyFile copies so many bytes, and returns how many there were.
func copyFile(to, from string, size int64) (int64, error) {
	src, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, err
	}
	n, err := io.CopyN(dst, src, size)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, errors.Join(err, dst.Close())
}

// replaces makes earlier backups of a path inactive, unless the active one is the
// same.
func (p *program) replaces(r *record) (same bool, err error) {
	err = p.tape.locked(func() error {
		all, err := p.tape.records()
		if err != nil {
			return err
		}
		for _, o := range all {
			if o.Archive || !o.Active || string(o.Path) != string(r.Path) {
				continue
			}
			if o.Size == r.Size && o.ModTime.Equal(r.ModTime) {
				same = true
				return nil
			}
			o.Active = false
			if err := p.tape.appendLine("catalogue", o); err != nil {
				return err
			}
		}
		return nil
	})
	return same, err
}

// expire makes backups inactive whose files are gone.
func (p *program) expire(specs []string) error {
	return p.tape.locked(func() error {
		all, err := p.tape.records()
		if err != nil {
			return err
		}
		for _, o := range all {
			path := string(o.Path)
			if o.Archive || !o.Active {
				continue
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			for _, s := range specs {
				if strings.HasPrefix(path, s) {
					o.Active = false
					p.expired++
					p.object("", "Expiring", o.Size, path, " [Sent]")
					if err := p.tape.appendLine("catalogue", o); err != nil {
						return err
					}
					break
				}
			}
		}
		return nil
	})
}
