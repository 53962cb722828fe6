package tsm

import (
	"strconv"
	"strings"
)

// An Object is one row of query archive or query backup: a version of a file or
// directory on the server.
type Object struct {
	Path string `json:"path"` // bytes

	// Size in bytes, known to Step bytes: above 100 GB rows are in KB.
	Size int64 `json:"size"`
	Step int64 `json:"step"`

	Date Stamp `json:"date"` // of the archive or backup run, on the server's clock

	// Active is false for a backup version that was replaced, or whose file is gone:
	// the server drops it some day. Archive copies are always active.
	Active bool `json:"active"`

	// Class is the management class of a backup, "" of an archive copy. Some clients
	// print its first ten characters only.
	Class string `json:"class,omitempty"`

	// Expires and Description are those of an archive copy. Expires is a date or the
	// locale's word for never.
	Expires     string `json:"expires,omitempty"`
	Description string `json:"description,omitempty"`

	// Volume is the tape, where -detail told it.
	Volume string `json:"volume,omitempty"`

	// Details are the lines that -detail adds, and the parts that it adds to the row.
	Details []string `json:"details,omitempty"`
}

// SizeIs reports whether the row can be that of a file with n bytes.
func (o Object) SizeIs(n int64) bool {
	d := n - o.Size
	return d == 0 || d > -o.Step && d < o.Step
}

// A Filespace is one row of query filespace: a file system of which the server has
// something.
type Filespace struct {
	Number int    `json:"number"`
	Last   Stamp  `json:"last,omitzero"` // full incremental backup; Text is "" if there was none
	Type   string `json:"type"`
	Name   string `json:"name"`
}

// A rawRow waits for its continuation.
type rawRow struct {
	o    Object
	rest string
	more []string
}

// queried takes the lines that only queries print.
func (p *parser) queried(s string) bool {
	switch p.mode {
	case modeArchive, modeBackup:
		return p.queriedObject(s)
	case modeFilespace:
		if m := p.filespace.FindStringSubmatch(s); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return false
			}
			p.out.Filespaces = append(p.out.Filespaces, Filespace{Number: n, Last: p.stamp(m[2]), Type: m[3], Name: m[4]})
			return true
		}
		return p.underline.MatchString(s) || p.heading.MatchString(s)
	case modeSession:
		if p.established.MatchString(s) || p.node.MatchString(s) || strings.HasPrefix(s, "Accessing as node:") {
			return false
		}
		if m := p.field.FindStringSubmatch(s); m != nil {
			p.out.Fields = append(p.out.Fields, Field{Name: m[1], Value: m[2]})
			return true
		}
	}
	return false
}

func (p *parser) queriedObject(s string) bool {
	if p.underline.MatchString(s) || p.heading.MatchString(s) {
		p.endRow()
		return true
	}
	if p.row != nil && p.mode == modeArchive && len(p.row.more) == 0 && p.detail.MatchString(s) ||
		p.row != nil && p.mode == modeBackup && p.detail.MatchString(s) {
		p.row.o.Details = append(p.row.o.Details, strings.TrimSpace(s))
		if m := p.volume.FindStringSubmatch(s); m != nil {
			p.row.o.Volume = m[1]
		}
		return true
	}
	m := p.grammar.row.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	size, step, ok := parseSize(m[1], m[2])
	if !ok {
		return false
	}
	p.endRow()
	p.row = &rawRow{o: Object{Size: size, Step: step, Date: p.stamp(m[3] + " " + m[4]), Active: true}, rest: m[5]}
	return true
}

// endRow makes an object of the row and its continuation. What cannot be read is
// kept with the other lines.
func (p *parser) endRow() {
	r := p.row
	if r == nil {
		return
	}
	p.row = nil
	ok := false
	if p.mode == modeBackup {
		ok = p.backupRow(r)
	} else {
		ok = p.archiveRow(r)
	}
	if !ok {
		p.out.Other = append(p.out.Other, append([]string{r.rest}, r.more...)...)
		return
	}
	p.out.Objects = append(p.out.Objects, r.o)
}

func (p *parser) backupRow(r *rawRow) bool {
	m := p.backupRest.FindStringSubmatch(r.rest + strings.Join(r.more, ""))
	if m == nil {
		return false
	}
	r.o.Class, r.o.Active, r.o.Path = m[1], m[2] == "A", m[3]
	return true
}

// archiveRow parts path, expiry and description. Continuations first are the rest of
// a row that was cut at the width of a terminal; once the row is whole they are lines
// of the description.
func (p *parser) archiveRow(r *rawRow) bool {
	for _, part := range []func(string, *Object) bool{p.partKnown, p.partGuess} {
		text := r.rest
		for i := 0; i <= len(r.more); i++ {
			if i > 0 {
				text += r.more[i-1]
			}
			if !part(text, &r.o) {
				continue
			}
			for _, s := range r.more[i:] {
				r.o.Description += "\n" + s
			}
			return true
		}
	}
	return false
}

// retained cuts off what -detail adds behind the description.
func (g *grammar) retained(text string) (string, []string) {
	if i := g.retention.FindStringIndex(text); i != nil {
		return text[:i[0]], []string{strings.TrimSpace(text[i[0]:])}
	}
	return text, nil
}

func (o *Object) set(path, expires, description string, details []string) bool {
	o.Path, o.Expires, o.Description = path, expires, description
	o.Details = append(details, o.Details...)
	return true
}

// partKnown parts a row that ends with the description that is asked for.
func (p *parser) partKnown(text string, o *Object) bool {
	text, details := p.retained(text)
	rest, ok := strings.CutSuffix(text, " "+p.description)
	i := strings.LastIndexByte(rest, ' ')
	if p.description == "" || !ok || i <= 0 {
		return false
	}
	return o.set(rest[:i], rest[i+1:], p.description, details)
}

// partGuess parts a row by what expiries look like.
func (p *parser) partGuess(text string, o *Object) bool {
	text, details := p.retained(text)
	if m := p.defaultDescription.FindStringSubmatchIndex(text); m != nil && m[0] > 0 {
		return o.set(text[:m[0]], text[m[2]:m[3]], text[m[4]:m[5]], details)
	}
	// The last expiry that something follows; else one at the end.
	var at []int
	for from := 1; from < len(text); {
		m := p.expiry.FindStringSubmatchIndex(text[from:])
		if m == nil {
			break
		}
		for i := range m {
			m[i] += from
		}
		if at == nil || m[3] < len(text) {
			at = m
		}
		from = m[3]
	}
	if at == nil {
		return false
	}
	return o.set(text[:at[0]], text[at[2]:at[3]], strings.TrimPrefix(text[at[3]:], " "), details)
}
