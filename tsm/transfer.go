package tsm

import (
	"path"
	"strconv"
	"strings"
)

// A Transfer is what dsmc says of one object that it sends or brings.
type Transfer struct {
	// Kind is the word at the front: "Normal File", "Directory", "Special File",
	// "Symbolic Link", "Updating", "Expiring", "Rebinding", "Restoring", "Retrieving".
	Kind string `json:"kind"`

	// Retry is above 0 for a new try. Lines of one object can be far apart, and only
	// the last one tells how it went: see [Output.Last].
	Retry int `json:"retry,omitempty"`

	// Size in bytes; -1 where the line has none.
	Size int64 `json:"size"`

	// Path is the object's, as the server knows it.
	Path string `json:"path"`

	// Dest is where it was brought to; "" when sent, or brought back in place. The two
	// cannot be told apart surely if a name holds " --> "; then the parting is taken
	// that leaves both with the same last component.
	Dest string `json:"dest,omitempty"`

	Outcome Outcome `json:"outcome"`
}

// An Outcome is how it went with one object, for the time being.
type Outcome string

// Outcomes.
const (
	Sent         Outcome = "sent"
	Changed      Outcome = "changed"      // while it was read; it is tried again, or left out
	Unsuccessful Outcome = "unsuccessful" // left out
	Done         Outcome = "done"         // brought
)

func (g *grammar) parseTransfer(s string) (Transfer, bool) {
	if m := g.sent.FindStringSubmatch(s); m != nil {
		t := Transfer{Kind: m[2], Size: -1, Path: m[4], Outcome: Sent}
		t.Retry, _ = strconv.Atoi(m[1])
		if n, ok := ParseCount(m[3]); ok {
			t.Size = n
		}
		switch m[6] {
		case "Changed":
			t.Outcome = Changed
		case "** Unsuccessful **":
			t.Outcome = Unsuccessful
		}
		return t, true
	}
	if m := g.brought.FindStringSubmatch(s); m != nil {
		t := Transfer{Kind: m[1], Size: -1, Outcome: Done}
		if n, ok := ParseCount(m[2]); ok {
			t.Size = n
		}
		t.Path, t.Dest = part(m[3])
		return t, true
	}
	return Transfer{}, false
}

// part parts "source --> destination".
func part(s string) (from, to string) {
	const arrow = " --> "
	for i := 0; ; {
		j := strings.Index(s[i:], arrow)
		if j < 0 {
			break
		}
		i += j
		f, t := s[:i], s[i+len(arrow):]
		if path.Base(f) == path.Base(t) {
			return f, t
		}
		if from == "" && strings.HasPrefix(t, "/") {
			from, to = f, t
		}
		i += len(arrow)
	}
	if from == "" {
		from = s
	}
	return from, to
}
