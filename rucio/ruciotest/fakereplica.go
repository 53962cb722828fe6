package ruciotest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

type fakeReplica struct {
	state    string
	pfn      string // at a storage that is not deterministic
	released bool   // its tombstone is set
}

// replicaState reads a state as requests write it.
func (f *Fake) replicaState(s string) (string, bool) {
	all := []string{"AVAILABLE", "UNAVAILABLE", "COPYING", "BEING_DELETED", "BAD"}
	short := []string{"A", "U", "C", "D", "B"}
	if f.major >= 38 {
		all, short = append(all, "TEMPORARY_UNAVAILABLE"), append(short, "T")
	}
	if i := slices.Index(short, s); i >= 0 {
		return all[i], true
	}
	return s, slices.Contains(all, s)
}

func mayAddReplicas(a *fakeAccount, rse string) bool {
	return a.admin || slices.ContainsFunc([]string{"SCRATCHDISK", "USERDISK", "LOCALGROUPDISK", "MOCK"}, func(s string) bool { return strings.HasSuffix(rse, s) })
}

type replicaBody struct {
	fakeName
	Bytes   *int64            `json:"bytes"`
	Adler32 string            `json:"adler32"`
	MD5     string            `json:"md5"`
	State   string            `json:"state"`
	PFN     string            `json:"pfn"`
	Meta    map[string]string `json:"meta"`
}

func (c *call) addReplicas() answer {
	var w struct {
		RSE   string        `json:"rse"`
		Files []replicaBody `json:"files"`
		Any   bool          `json:"ignore_availability"`
	}
	if no := c.into(&w, []string{"rse", "files"}, "ignore_availability"); no != nil {
		return *no
	}
	r, no := c.theRSE(w.RSE)
	switch {
	case no != nil:
		return *no
	case !mayAddReplicas(c.account, w.RSE):
		return denied(c, "add file replicas on "+w.RSE)
	case r.NoWrite && !(w.Any && c.account.admin):
		return refuse(http.StatusServiceUnavailable, "ResourceTemporaryUnavailable", "%s is temporary unavailable for writing", w.RSE)
	case len(w.Files) == 0:
		return refuse(http.StatusInternalServerError, "DatabaseException", "Database exception. Details: no rows")
	case len(w.Files) > 1000:
		return refuse(http.StatusInternalServerError, "InvalidObject", "Provided object does not match schema: too long")
	}
	for _, file := range w.Files { // all or none
		if a := c.checkReplica(r, file); a != nil {
			return *a
		}
	}
	for _, file := range w.Files {
		d, ok := c.f.dids[file.fakeName]
		if !ok { // else nothing is compared, and what it says is ignored
			d = c.f.newDID(file.fakeName, "FILE", c.account.name)
			d.bytes, d.adler32, d.md5 = *file.Bytes, file.Adler32, file.MD5
			if g := file.Meta["guid"]; g != "" {
				d.columns["guid"] = g
			}
		}
		if d.replicas[w.RSE] == nil { // else it is left alone, with its state
			state, _ := c.f.replicaState(file.State)
			if file.State == "" {
				state = "AVAILABLE"
			}
			d.replicas[w.RSE] = &fakeReplica{state: state, pfn: file.PFN}
		}
	}
	return created()
}

func (c *call) checkReplica(r *fakeRSE, file replicaBody) *answer {
	refused := func(status int, class, format string, args ...any) *answer {
		a := refuse(status, class, format, args...)
		return &a
	}
	digits := func(n, s string) bool {
		ok, err := regexp.MatchString("^[0-9a-f]{"+n+"}$", s)
		return s == "" || err == nil && ok
	}
	_, good := c.f.replicaState(file.State)
	owner, known := c.f.scopes[file.Scope]
	d := c.f.dids[file.fakeName]
	expected := false
	for _, p := range r.Protocols {
		expected = expected || r.pfn(p, file.fakeName, file.PFN) == file.PFN
	}
	switch {
	case !c.f.isName(file.Name) || !isScope(file.Scope) || file.Bytes == nil || !digits("8", file.Adler32) || !digits("32", file.MD5) || file.State != "" && !good:
		return refused(http.StatusInternalServerError, "InvalidObject", "Provided object does not match schema: Problem with %s", file.fakeName)
	case d != nil && d.kind != "FILE":
		return refused(http.StatusInternalServerError, "UnsupportedOperation", "%s is no file", file.fakeName)
	case d == nil && !known:
		return refused(http.StatusNotFound, "ScopeNotFound", "Scope not found!")
	case d == nil && owner != c.account.name && !c.account.admin:
		return refused(http.StatusUnauthorized, "AccessDenied", "Account %s can not add file %s", c.account.name, file.fakeName)
	case r.NonDeterministic && file.PFN == "":
		return refused(http.StatusInternalServerError, "UnsupportedOperation", "PFN needed for this (non deterministic) RSE %s", r.Name)
	case file.PFN != "" && !expected:
		return refused(http.StatusBadRequest, "InvalidPath", "The PFN provided does not match what was expected")
	}
	return nil
}

func (c *call) setReplicas() answer {
	var w struct {
		RSE   string        `json:"rse"`
		Files []replicaBody `json:"files"`
	}
	if no := c.into(&w, []string{"rse", "files"}); no != nil {
		return *no
	}
	switch {
	case !c.account.admin:
		return denied(c, "update file replicas state on "+w.RSE)
	case c.f.rse(w.RSE) == nil:
		return refuse(http.StatusInternalServerError, "RSENotFound", "RSE '%s' cannot be found in vo 'def'", w.RSE)
	}
	for _, file := range w.Files {
		_, good := c.f.replicaState(file.State)
		if d := c.f.dids[file.fakeName]; d == nil || d.replicas[w.RSE] == nil {
			return refuse(http.StatusInternalServerError, "ReplicaNotFound", "No row found for scope: %s name: %s rse: %s", file.Scope, file.Name, w.RSE)
		} else if !good {
			return refuse(http.StatusInternalServerError, "UnsupportedOperation", "unknown state %s", file.State)
		}
	}
	for _, file := range w.Files {
		state, _ := c.f.replicaState(file.State)
		c.f.dids[file.fakeName].replicas[w.RSE].state = state
		if state != "AVAILABLE" {
			continue
		}
		for _, r := range c.f.rules {
			if l, ok := r.locks[fakeLock{file.fakeName, w.RSE}]; ok {
				l.state, l.err = "OK", ""
			}
		}
	}
	return done()
}

func (c *call) tombstone() answer {
	var w struct {
		Replicas []struct {
			fakeName
			RSE string `json:"rse"`
		} `json:"replicas"`
	}
	if no := c.into(&w, []string{"replicas"}); no != nil {
		return *no
	}
	if !c.account.admin {
		return denied(c, "set tombstones")
	}
	for _, n := range w.Replicas {
		d := c.f.dids[n.fakeName]
		if d == nil || d.replicas[n.RSE] == nil {
			return refuse(http.StatusNotFound, "ReplicaNotFound", "Replica %s on RSE %s could not be found.", n.fakeName, n.RSE)
		}
		for _, r := range c.f.rules {
			if _, ok := r.locks[fakeLock{n.fakeName, n.RSE}]; ok {
				return refuse(http.StatusLocked, "ReplicaIsLocked", "Replica %s on RSE %s is locked.", n.fakeName, n.RSE)
			}
		}
		d.replicas[n.RSE].released = true
	}
	return created()
}

func (c *call) declareBad() answer {
	var w struct {
		Replicas []struct {
			fakeName
			RSE string `json:"rse"`
		} `json:"replicas"`
		Reason string `json:"reason"`
	}
	if no := c.into(&w, []string{"replicas"}); no != nil {
		return *no
	}
	if c.account.name != "root" {
		return denied(c, "declare bad file replicas")
	}
	refused := map[string][]string{}
	for _, n := range w.Replicas {
		if d := c.f.dids[n.fakeName]; d == nil || d.replicas[n.RSE] == nil {
			refused[n.RSE] = append(refused[n.RSE], "('"+n.Scope+"', '"+n.Name+"') Unknown replica")
		} else {
			d.replicas[n.RSE].state = "BAD"
		}
	}
	a := object(refused)
	a.status = http.StatusCreated
	return a
}
