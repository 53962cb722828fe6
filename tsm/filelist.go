package tsm

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// A fileList is the content of a -filelist: one path a line.
type fileList struct {
	text []byte

	// literal: there are paths that dsmc takes only with wildcardsareliteral and
	// quotesareliteral, which no command line can set. With them, nothing is quoted.
	literal bool
}

func newFileList(op string, paths []string) (fileList, error) {
	var l fileList
	for _, p := range paths {
		if err := checkPath(op, p); err != nil {
			return l, err
		}
		l.literal = l.literal || strings.ContainsAny(p, "*?") || strings.Contains(p, `"`) && strings.Contains(p, "'")
	}
	var b bytes.Buffer
	for _, p := range paths {
		quote := ""
		switch {
		case l.literal:
		case strings.Contains(p, `"`):
			quote = "'"
		case strings.ContainsAny(p, " \t'"):
			quote = `"`
		}
		b.WriteString(quote + p + quote + "\n")
	}
	l.text = b.Bytes()
	return l, nil
}

// literalOptions writes an options file that is the client's own one with the two
// options added.
func (c *Client) literalOptions(op string, env []string, dir string) (string, error) {
	from := c.OptFile
	if from == "" {
		from = lookup(env, "DSM_CONFIG")
	}
	if d := lookup(env, "DSM_DIR"); from == "" && d != "" {
		from = filepath.Join(d, "dsm.opt")
	}
	if from == "" {
		from = "/opt/tivoli/tsm/client/ba/bin/dsm.opt"
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return "", &Error{Op: op, Kind: ErrUnsupported, Err: errors.Join(errors.New("names with wildcards or both sorts of quotes need a copy of dsm.opt"), err),
			Hint: "name the options file"}
	}
	name := filepath.Join(dir, "dsm.opt")
	text = append(text, "\nwildcardsareliteral yes\nquotesareliteral yes\n"...)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return "", &Error{Op: op, Kind: ErrConfig, Err: err}
	}
	return name, nil
}
