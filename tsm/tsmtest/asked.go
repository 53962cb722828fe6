package tsmtest

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func (p *program) querySession() {
	p.printf("IBM Storage Protect Server Connection Information")
	p.printf("")
	for _, f := range [][2]string{
		{"Home Server Name", "TAPES"}, {"Server Type", "Linux/x86_64"}, {"Archive Retain Protect", `"No"`},
		{"Server Version", "Ver. 8, Rel. 1, Lev. 27.0"}, {"Delete Archive Files", `"No"`}, {"Node Name", "CAXTEST"}, {"User Name", ""},
	} {
		p.printf("%s: %s", f[0]+strings.Repeat(".", 24-len(f[0])), f[1])
	}
	p.printf("\nSecondary Server Information\nNot configured for failover")
}

func (p *program) filespaces() []string {
	if p.set.Filespaces == nil {
		return []string{"/"}
	}
	return p.set.Filespaces
}

// filespace is the longest one that holds a path.
func (p *program) filespace(path string) string {
	best := ""
	for _, f := range p.filespaces() {
		if (f == "/" || path == f || strings.HasPrefix(path, f+"/")) && len(f) > len(best) {
			best = f
		}
	}
	return best
}

func (p *program) queryFilespace() error {
	all, err := p.tape.records()
	if err != nil {
		return err
	}
	p.printf("  #     Last Incr Date          Type    File Space Name\n%s", strings.Repeat("-", 80))
	used := map[string]bool{}
	for _, r := range all {
		used[p.filespace(string(r.Path))] = true
	}
	n := 0
	for _, f := range p.filespaces() {
		if used[f] {
			n++
			p.printf("%3d     %19s     EXT4    %-16s", n, "", f)
		}
	}
	if n == 0 {
		p.says("ANS1092W", "No files matching search criteria were found")
	}
	return nil
}

// matches reports whether a specification selects a path: itself, or by a pattern in
// its last component, at any depth with -subdir.
func (p *program) matches(spec, path string) bool {
	if spec == path {
		return true
	}
	dir, pattern := filepath.Split(spec)
	if pattern == "" {
		pattern = "*"
	}
	rest, ok := strings.CutPrefix(path, dir)
	if !ok {
		return false
	}
	if strings.Contains(rest, "/") && p.call.options["subdir"] != "yes" {
		return false
	}
	ok, _ = filepath.Match(pattern, filepath.Base(path))
	return ok
}

// described reports whether a version has the description that is asked for, which
// can be a pattern.
func (p *program) described(r record) bool {
	want, asked := p.call.options["description"]
	if !asked || want == r.Description {
		return true
	}
	if len(want) != len(r.Description) {
		return false
	}
	for i := range len(want) {
		if want[i] != '?' && want[i] != r.Description[i] {
			return false
		}
	}
	return true
}

// selected gives the versions that specifications select; listed ones are taken as
// they are.
func (p *program) selected(archive bool, specs []string, listed map[string]bool) ([]record, error) {
	all, err := p.tape.records()
	if err != nil {
		return nil, err
	}
	_, filesOnly := p.call.options["filesonly"]
	_, inactive := p.call.options["inactive"]
	_, latest := p.call.options["latest"]
	all = slices.DeleteFunc(all, func(r record) bool {
		path := string(r.Path)
		hit := listed[path] || slices.ContainsFunc(specs, func(s string) bool { return p.matches(s, path) })
		return r.Archive != archive || !hit || r.Dir && filesOnly || !r.Active && !inactive && !latest || !p.described(r)
	})
	if latest {
		last := map[string]int{}
		for _, r := range all {
			last[string(r.Path)] = r.ID
		}
		all = slices.DeleteFunc(all, func(r record) bool { return last[string(r.Path)] != r.ID })
	}
	return all, nil
}

func (p *program) query() error {
	archive := p.call.op == "query archive"
	if len(p.call.specs) != 1 {
		p.says("ANS1102E", "Excessive number of command line arguments passed to the program!")
		return nil
	}
	spec := p.call.specs[0]
	if strings.ContainsAny(filepath.Dir(spec), "*?{}\"'") {
		p.says("ANS1081E", "Invalid search file specification '"+spec+"' entered")
		return nil
	}
	rows, err := p.selected(archive, []string{spec}, nil)
	if err != nil {
		return err
	}
	if p.is(NoMatch) || len(rows) == 0 {
		p.says("ANS1092W", "No files matching search criteria were found")
		return nil
	}
	_, detail := p.call.options["detail"]
	if archive {
		p.printf("             Size  Archive Date - Time    File - Expires on - Description")
		p.printf("             ----  -------------------    -------------------------------")
	} else {
		p.printf("           Size        Backup Date                Mgmt Class           A/I File")
		p.printf("           ----        -----------                ----------           --- ----")
	}
	slices.SortStableFunc(rows, func(a, b record) int { return cmp.Compare(string(a.Path), string(b.Path)) })
	for _, r := range rows {
		if !p.next() {
			return nil
		}
		p.done++
		if archive {
			s := p.size(r.Size) + "  " + p.date(r.Date) + "    " + string(r.Path) + " Never " + r.Description
			if detail {
				s += "  RetInit:STARTED  ObjHeld:NO"
			}
			p.row(s)
		} else {
			state := "I"
			if r.Active {
				state = "A"
			}
			p.row(p.size(r.Size) + "  " + p.date(r.Date) + "             DEFAULT              " + state + "  " + string(r.Path))
		}
		if detail {
			p.printf("         Modified: %s  Accessed: %s  Inode changed: %s", p.date(r.ModTime), p.date(r.ModTime), p.date(r.ModTime))
			p.printf("  Media Class: Library  Volume ID: %s  Restore Order: 00000000-00000000-00000000-%08X", volumeName(r.Volume), r.ID)
		}
	}
	p.finish()
	return nil
}

// pending answers for restores that were interrupted.
func (p *program) pending() error {
	_, err := os.Stat(p.tape.file("pending"))
	there := err == nil
	switch {
	case !there:
		p.says("ANS1092W", "No files matching search criteria were found")
	case p.call.op == "query restore":
		p.printf("  -1  /data/*  /restore/")
	default:
		return os.Remove(p.tape.file("pending"))
	}
	return nil
}
