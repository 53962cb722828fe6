package tsmtest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// bring is retrieve and restore.
func (p *program) bring() error {
	archive := p.call.op == "retrieve"
	word, verb := "Restore", "restored"
	if archive {
		word, verb = "Retrieve", "retrieved"
	}
	p.printf("%s function invoked.\n", word)
	_, latest := p.call.options["latest"]
	noQuery := !archive && !latest // the server steers it, and remembers where it was
	if !archive {
		if noQuery {
			p.says("ANS1247I", "Waiting for files from the server...")
		}
		_, err := os.Stat(p.tape.file("pending"))
		if p.is(Pending) || err == nil {
			p.printf("%34s\n>>>>>> Restore Processing Interrupted!! <<<<<<", "")
			p.says("ANS1330S", "This node currently has a pending restartable restore session.\n\nThe requested operation cannot complete until this session either\ncompletes or is canceled.")
			return os.WriteFile(p.tape.file("pending"), nil, 0o600)
		}
	}
	if noQuery {
		if err := os.WriteFile(p.tape.file("pending"), nil, 0o600); err != nil {
			return err
		}
	}
	rows, dest, err := p.toBring(archive)
	if err != nil {
		return err
	}
	if p.exit == 0 && (p.is(NoMatch) || len(rows) == 0) {
		p.says("ANS1092W", "No files matching search criteria were found")
	}
	if p.exit == 0 {
		err = p.bringAll(rows, dest)
	}
	if noQuery && err == nil {
		err = os.Remove(p.tape.file("pending"))
	}
	if err != nil || p.exit > 4 && p.moved == 0 {
		return err
	}
	if p.exit == 12 || p.is(Asks) {
		return nil
	}
	p.finish()
	p.printf("\n%s processing finished.", word)
	p.sums(verb)
	return nil
}

// toBring gives the versions in the order of the tapes, the newest first where a path
// has several: so that the oldest wins, which is nobody's wish.
func (p *program) toBring(archive bool) ([]record, string, error) {
	specs, listed := p.call.specs, map[string]bool{}
	dest := ""
	if n := len(specs); n > 0 {
		dest = specs[n-1]
		specs = specs[:n-1]
	}
	if _, ok := p.call.options["filelist"]; ok {
		paths, bad, err := p.call.listed()
		if err != nil {
			return nil, "", err
		}
		if bad != "" {
			p.says("ANS1081E", "Invalid search file specification '"+bad+"' entered")
			return nil, "", nil
		}
		for _, path := range paths {
			listed[path] = true
		}
	}
	if !strings.HasSuffix(dest, "/") {
		p.says("ANS2039E", "Invalid destination file specification '"+dest+"' entered")
		return nil, "", nil
	}
	rows, err := p.selected(archive, specs, listed)
	slices.SortFunc(rows, func(a, b record) int {
		if c := cmp.Compare(a.Volume, b.Volume); c != 0 {
			return c
		}
		return b.ID - a.ID
	})
	return rows, dest, err
}

func (p *program) bringAll(rows []record, dest string) error {
	mounted := 0
	for _, r := range rows {
		if !r.Dir && r.Volume != mounted {
			mounted = r.Volume
			if err := p.mount(r.Volume); err != nil {
				return err
			}
		}
		if !p.next() {
			return nil
		}
		if err := p.bringOne(r, p.place(string(r.Path), dest)); err != nil {
			return err
		}
		if p.is(Asks) && p.exit > 0 {
			return nil
		}
		p.done++
	}
	return nil
}

// place is where an object goes to.
func (p *program) place(path, dest string) string {
	if p.call.options["preservepath"] == "complete" {
		return filepath.Join(dest, strings.TrimPrefix(path, p.filespace(path)))
	}
	// The last directory of the source is made again below the destination.
	for _, s := range p.call.specs {
		base := filepath.Dir(s)
		if rest, ok := strings.CutPrefix(path, base+"/"); ok {
			return filepath.Join(dest, filepath.Base(base), rest)
		}
	}
	return filepath.Join(dest, filepath.Base(filepath.Dir(path)), filepath.Base(path))
}

func (p *program) bringOne(r record, to string) error {
	if r.Dir {
		return os.MkdirAll(to, 0o755)
	}
	if _, err := os.Lstat(to); err == nil {
		switch p.call.options["replace"] {
		case "no":
			p.says("ANS1946W", "File '"+to+"' exists, skipping")
			p.failed++
			return nil
		case "all", "yes":
		default:
			p.ask(fmt.Sprintf("File '%s' exists", to), "Replace this object", "Replace all objects that already exist")
			p.failed++
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if _, err := copyFile(to, p.tape.data(r.ID), r.Size); err != nil {
		return err
	}
	if p.strikes(Damages) && r.Size > 0 {
		b, err := os.ReadFile(to)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chtimes(to, r.ModTime, r.ModTime); err != nil {
		return err
	}
	if p.strikes(Attribute) {
		p.says("ANS1590W", " I/O error writing file attribute: security.selinux for: "+to+". errno = 1, Operation not permitted")
	}
	p.moved++
	p.sum += r.Size
	word := "Restoring"
	if r.Archive {
		word = "Retrieving"
	}
	p.printf("%s%*s %s --> %s [Done]", word, 26-len(word), p.count(r.Size), r.Path, to)
	return nil
}
