package tsm

import (
	"io"
	"strings"
)

// An Output is what a run of dsmc printed, line by line in its sort.
type Output struct {
	Session    Session     `json:"session,omitzero"`
	Transfers  []Transfer  `json:"transfers,omitempty"`
	Statistics Statistics  `json:"statistics,omitempty"`
	Messages   []Message   `json:"messages,omitempty"`
	Objects    []Object    `json:"objects,omitempty"`    // of query archive and query backup
	Filespaces []Filespace `json:"filespaces,omitempty"` // of query filespace
	Fields     []Field     `json:"fields,omitempty"`     // of query session

	// Processed is the number of files in the last message that tells it (ANS1898I).
	Processed int64 `json:"processed,omitempty"`

	// Prompt is the question that was asked, "" without one.
	Prompt string `json:"prompt,omitempty"`

	// Other are the lines that are none of these, nor blank or constant.
	Other []string `json:"other,omitempty"`
}

// Last gives the last line of each object, in the order in which they appeared
// first. Only it tells how it went with the object.
func (o *Output) Last() []Transfer {
	at := map[string]int{}
	var last []Transfer
	for _, t := range o.Transfers {
		if i, ok := at[t.Path]; ok {
			last[i] = t
			continue
		}
		at[t.Path] = len(last)
		last = append(last, t)
	}
	return last
}

// ParseRun reads the output of a run that moves data, and logs of the scheduler
// (dsmsched.log, dsmerror.log) and the server (ANE messages), whose lines begin with a
// date. The error is r's.
func ParseRun(r io.Reader) (*Output, error) { return parse(r, modeRun, "") }

// ParseQueryArchive reads the output of query archive. A path and what follows it are
// parted by one blank, so they can only be told apart surely if the description is
// known: it is taken where it fits, "" for none. The error is r's.
func ParseQueryArchive(r io.Reader, description string) (*Output, error) {
	return parse(r, modeArchive, description)
}

// ParseQueryBackup reads the output of query backup. The error is r's.
func ParseQueryBackup(r io.Reader) (*Output, error) { return parse(r, modeBackup, "") }

// ParseQueryFilespace reads the output of query filespace. The error is r's.
func ParseQueryFilespace(r io.Reader) (*Output, error) { return parse(r, modeFilespace, "") }

// ParseQuerySession reads the output of query session. The error is r's.
func ParseQuerySession(r io.Reader) (*Output, error) { return parse(r, modeSession, "") }

func parse(r io.Reader, m mode, description string) (*Output, error) {
	p := newParser(m, description)
	if err := eachLine(r, p.line); err != nil {
		return nil, err
	}
	return p.end(), nil
}

// A mode says which lines can come.
type mode int

const (
	modeRun mode = iota
	modeArchive
	modeBackup
	modeFilespace
	modeSession
	modeText // lines of a form that is not known
)

// A parser takes lines.
type parser struct {
	*grammar
	mode        mode
	description string
	out         *Output
	progress    Progress // told as lines come; or nil

	message  bool // the line before belongs to the last message
	gap      bool // and then came a blank one
	asking   bool // lines belong to the prompt
	row      *rawRow
	question []string
}

func newParser(m mode, description string) *parser {
	return &parser{grammar: theGrammar(), mode: m, description: description, out: &Output{}}
}

// end gives what was read.
func (p *parser) end() *Output {
	p.endRow()
	p.out.Prompt = strings.TrimSpace(strings.Join(p.question, "\n"))
	return p.out
}

func (p *parser) line(s string) {
	if strings.TrimSpace(s) == "" {
		p.gap = true
		return
	}
	gap := p.gap
	p.gap = false
	if p.mode == modeRun {
		if at := p.logTime.FindString(s); at != "" {
			s = s[len(at):]
		}
	}
	if p.ask(s) || p.known(s) {
		return
	}
	if p.goesOn(s, gap) {
		return
	}
	p.out.Other = append(p.out.Other, s)
}

// ask takes a question and what belongs to it.
func (p *parser) ask(s string) bool {
	switch {
	case p.prompt.MatchString(s):
		p.asking = strings.HasPrefix(s, "---")
	case !p.asking:
		return false
	case strings.HasPrefix(s, "Action ["):
		p.asking = false
	}
	p.question = append(p.question, strings.TrimSpace(s))
	p.message = false
	return true
}

// known takes a line that says itself what it is.
func (p *parser) known(s string) bool {
	if p.queried(s) {
		p.message = false
		return true
	}
	said := false
	if prefix := p.serverPrefix.FindString(s); prefix != "" {
		rest := p.serverSuffix.ReplaceAllString(s[len(prefix):], "")
		if st, ok := p.parseStatistic(rest, false); ok {
			p.out.Statistics = append(p.out.Statistics, st)
			p.message = false
			return true
		}
	}
	if m, ok := p.parseMessage(s); ok {
		p.endRow()
		p.out.Messages = append(p.out.Messages, m)
		if n := p.processed.FindStringSubmatch(m.Text); n != nil {
			if c, ok := ParseCount(n[1]); ok {
				p.out.Processed = c
			}
		}
		p.message = true
		if p.progress != nil {
			p.progress.Message(m)
		}
		return true
	}
	if t, ok := p.parseTransfer(s); ok {
		p.out.Transfers = append(p.out.Transfers, t)
		if p.progress != nil {
			p.progress.Object(t)
		}
		said = true
	} else if p.session(s, &p.out.Session) || p.frame.MatchString(s) {
		p.endRow()
		said = true
	} else if st, ok := p.parseStatistic(s, len(p.out.Statistics) > 0); ok {
		p.out.Statistics = append(p.out.Statistics, st)
		said = true
	}
	if said {
		p.message = false
	}
	return said
}

// goesOn takes a line that continues the one before: a wrapped row, or the text of a
// message.
func (p *parser) goesOn(s string, gap bool) bool {
	if p.row != nil && !gap {
		p.row.more = append(p.row.more, s)
		return true
	}
	if !p.message {
		return false
	}
	m := &p.out.Messages[len(p.out.Messages)-1]
	if m.Severity == Info || gap && m.Severity != Severe {
		// What follows an information, or a blank line, is something else. Only the
		// longest explanations have paragraphs.
		p.message = false
		return false
	}
	m.Text += "\n" + strings.TrimSpace(s)
	return true
}
