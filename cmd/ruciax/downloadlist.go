package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/rucio"
)

// A want is one thing to download: a run by number or name, or a DID.
type want struct {
	from   string // "FILE:LINE: ", or ""
	text   string
	number *int64
	name   string
	did    rucio.DID // of the catalogue
}

// parseWant reads what a person calls a dataset.
func parseWant(text string) (want, error) {
	w := want{text: text}
	switch n, err := strconv.ParseInt(text, 10, 64); {
	case strings.ContainsFunc(text, unicode.IsSpace):
		return w, errors.New("one run or DID a line")
	case err == nil && n < 0:
		return w, errors.New("numbers of runs are not negative")
	case err == nil:
		w.number = &n
	case strings.Contains(text, ":"):
		if w.did, err = rucio.ParseDID(text); err != nil {
			return w, errors.New("that is no DID; write SCOPE:NAME")
		}
	default:
		w.name = text
	}
	return w, nil
}

// readList reads a file with one run or DID a line. Empty lines, and what follows a #,
// are left out. What is wrong is all told, with its line.
func readList(path string, stdin io.Reader) ([]want, error) {
	var r = stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, command.Usagef("", "--list: %v", err)
		}
		defer f.Close()
		r = f
	}
	var all []want
	var bad []string
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" || seen[text] {
			continue
		}
		seen[text] = true
		w, err := parseWant(text)
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s:%d: %q: %v", path, n, text, err))
			continue
		}
		w.from = fmt.Sprintf("%s:%d: ", path, n)
		all = append(all, w)
	}
	switch err := lines.Err(); {
	case err != nil:
		return nil, command.Usagef("", "--list %s: %v", path, err)
	case len(bad) > 0:
		return nil, command.Usagef("a line is the number or the name of a run, or SCOPE:NAME", "%s", strings.Join(bad, "; "))
	case len(all) == 0:
		return nil, command.Usagef("", "--list %s names nothing", path)
	}
	return all, nil
}
