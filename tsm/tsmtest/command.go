package tsmtest

import (
	"os"
	"slices"
	"strings"
)

// A call is a command line that was understood.
type call struct {
	op      string
	options map[string]string // without the dash, in full length
	specs   []string
}

// parseCommand reads a command line. ok is false for commands that the stand-in does
// not have, deletions before all.
func parseCommand(args []string) (call, bool) {
	c := call{options: map[string]string{}}
	var words []string
	for _, a := range args {
		if o, ok := strings.CutPrefix(a, "-"); ok {
			k, v, _ := strings.Cut(o, "=")
			c.options[optionName(k)] = v
		} else {
			words = append(words, a)
		}
	}
	for _, w := range []struct {
		op    string
		forms []string
	}{
		{"query session", []string{"query session", "q session", "q se"}},
		{"query archive", []string{"query archive", "q archive", "q ar"}},
		{"query backup", []string{"query backup", "q backup", "q ba", "query ba"}},
		{"query filespace", []string{"query filespace", "q filespace", "q fi", "q f"}},
		{"query restore", []string{"query restore", "q rest"}},
		{"cancel restore", []string{"cancel restore"}},
		{"archive", []string{"archive", "ar"}},
		{"retrieve", []string{"retrieve"}},
		{"restore", []string{"restore", "rest"}},
		{"incremental", []string{"incremental", "incr", "i"}},
	} {
		for _, f := range w.forms {
			n := len(strings.Fields(f))
			if len(words) >= n && strings.Join(words[:n], " ") == f {
				c.op, c.specs = w.op, words[n:]
				return c, true
			}
		}
	}
	return c, len(words) == 0
}

func optionName(k string) string {
	for long, short := range map[string]string{"subdir": "su", "servername": "se", "description": "desc", "virtualnodename": "virtualnode", "password": "pass"} {
		if k == short {
			return long
		}
	}
	return k
}

// refused gives the option that the command does not take, "" for none.
func (c call) refused() string {
	formats := []string{"dateformat", "timeformat", "numberformat"}
	for o := range c.options {
		ok := slices.Contains([]string{"servername", "optfile", "asnodename", "scrollprompt", "subdir", "filesonly", "tapeprompt"}, o)
		switch {
		case slices.Contains(formats, o):
			ok = c.op != "archive" && c.op != "incremental" && c.op != "query session"
		case o == "filelist":
			ok = !strings.HasPrefix(c.op, "cancel")
		case o == "description":
			ok = c.op == "archive" || c.op == "retrieve" || c.op == "query archive"
		case o == "detail":
			ok = strings.HasPrefix(c.op, "query ")
		case o == "replace" || o == "preservepath":
			ok = c.op == "retrieve" || c.op == "restore"
		case o == "inactive":
			ok = c.op == "query backup" || c.op == "restore"
		case o == "latest":
			ok = c.op == "restore"
		case o == "followsymbolic":
			ok = c.op == "restore" || c.op == "incremental"
		}
		if !ok {
			return o
		}
	}
	return ""
}

// literal reports whether the options file takes names as they are.
func (c call) literal() bool {
	name := c.options["optfile"]
	if name == "" {
		name = os.Getenv("DSM_CONFIG")
	}
	text, _ := os.ReadFile(name)
	return strings.Contains(string(text), "wildcardsareliteral yes") && strings.Contains(string(text), "quotesareliteral yes")
}

// listed reads the -filelist. bad is an entry that is not allowed, "" for none.
func (c call) listed() (paths []string, bad string, err error) {
	text, err := os.ReadFile(c.options["filelist"])
	if err != nil {
		return nil, "", err
	}
	literal := c.literal()
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		p := line
		if !literal {
			if n := len(p); n > 1 && (p[0] == '"' || p[0] == '\'') && p[n-1] == p[0] {
				p = p[1 : n-1]
				if strings.ContainsRune(p, rune(line[0])) {
					return nil, line, nil
				}
			} else if strings.ContainsAny(p, "\"' \t") {
				return nil, line, nil
			}
			if strings.ContainsAny(p, "*?") {
				return nil, line, nil
			}
		}
		paths = append(paths, p)
	}
	return paths, "", nil
}
