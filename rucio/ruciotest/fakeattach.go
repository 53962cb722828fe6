package ruciotest

import "net/http"

func (c *call) attachOne() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	var w struct {
		DIDs []childBody `json:"dids"`
		RSE  string      `json:"rse"`
	}
	if no := c.into(&w, []string{"dids"}); no != nil {
		return *no
	}
	if no := c.attach(d, w.DIDs, w.RSE, false); no != nil {
		if no.header["ExceptionClass"] == "FileConsistencyMismatch" {
			no.status = http.StatusInternalServerError // the view does not know it
		}
		return *no
	}
	return created()
}

func (c *call) attachMany() answer {
	var w struct {
		Attachments []struct {
			fakeName
			DIDs []childBody `json:"dids"`
			RSE  string      `json:"rse"`
		} `json:"attachments"`
		Ignore bool `json:"ignore_duplicate"`
	}
	if no := c.into(&w, []string{"attachments"}, "ignore_duplicate"); no != nil {
		return *no
	}
	for _, a := range w.Attachments {
		d, ok := c.f.dids[a.fakeName]
		if !ok {
			return unknown(a.fakeName, http.StatusNotFound)
		}
		if no := c.attach(d, a.DIDs, a.RSE, w.Ignore); no != nil {
			return *no
		}
	}
	return created()
}

// attach makes members, all or none.
func (c *call) attach(d *fakeDID, children []childBody, rse string, ignore bool) *answer {
	refused := func(status int, class, format string, args ...any) *answer {
		a := refuse(status, class, format, args...)
		return &a
	}
	switch {
	case c.f.scopes[d.Scope] != c.account.name && !c.account.admin:
		return refused(http.StatusUnauthorized, "AccessDenied", "Account %s can not add data identifiers to %s", c.account.name, d)
	case d.kind == "FILE":
		return refused(http.StatusConflict, "UnsupportedOperation", "Can not attach to a file")
	case d.closed:
		return refused(http.StatusConflict, "UnsupportedOperation", "Data identifier '%s' is closed", d)
	case len(children) > 1000:
		return refused(http.StatusBadRequest, "InvalidObject", "Provided object does not match schema: too long")
	}
	var add []fakeName
	for _, ch := range children {
		m, ok := c.f.dids[ch.fakeName]
		switch {
		case !ok && rse != "" && ch.Bytes != nil:
			continue // it is made below
		case !ok:
			a := unknown(ch.fakeName, http.StatusNotFound)
			return &a
		case (d.kind == "DATASET") != (m.kind == "FILE"):
			return refused(http.StatusConflict, "UnsupportedOperation", "Adding a %s to a %s (%s) is forbidden", m.kind, d.kind, d)
		case ch.Bytes != nil && *ch.Bytes != m.bytes, ch.Adler32 != "" && ch.Adler32 != m.adler32, ch.MD5 != "" && ch.MD5 != m.md5:
			return refused(http.StatusPreconditionFailed, "FileConsistencyMismatch", "%s", ch.fakeName)
		case !d.children[ch.fakeName]:
			add = append(add, ch.fakeName)
		case ignore && (m.kind == "FILE" || c.f.major >= 38):
		case m.kind == "FILE":
			return refused(http.StatusConflict, "FileAlreadyExists", "File %s already in the dataset", ch.fakeName)
		default:
			return refused(http.StatusConflict, "DuplicateContent", "Data identifier %s already in the container", ch.fakeName)
		}
	}
	if rse != "" {
		r := c.f.rse(rse)
		if r == nil {
			return refused(http.StatusNotFound, "RSENotFound", "RSE '%s' cannot be found in vo 'def'", rse)
		}
		for _, ch := range children {
			if _, ok := c.f.dids[ch.fakeName]; !ok {
				m := c.f.newDID(ch.fakeName, "FILE", c.account.name)
				m.bytes, m.adler32, m.md5 = *ch.Bytes, ch.Adler32, ch.MD5
				add = append(add, ch.fakeName)
			}
			if m := c.f.dids[ch.fakeName]; m.replicas[rse] == nil {
				m.replicas[rse] = &fakeReplica{state: "AVAILABLE"}
			}
		}
	}
	for _, n := range add {
		d.children[n] = true
		d.attachments++
	}
	return nil
}

func (c *call) detach() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	var w struct {
		DIDs []fakeName `json:"dids"`
	}
	if no := c.into(&w, []string{"dids"}); no != nil {
		return *no
	}
	for _, n := range w.DIDs {
		if !d.children[n] {
			return refuse(http.StatusNotFound, "DataIdentifierNotFound", "Data identifier '%s' not found under '%s'", n, d)
		}
	}
	if d.monotonic {
		return refuse(http.StatusConflict, "UnsupportedOperation", "The DID is monotonic")
	}
	for _, n := range w.DIDs {
		delete(d.children, n)
	}
	return done()
}
