package process

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A Script is the whole text of a shell script, its first line included.
type Script string

// Interpreter gives the words of the first line, as "/bin/bash" and "-l". Other
// shells than sh, bash, dash and ksh are an error that wraps ErrInvalid, because
// [Quote] is not for them.
func (s Script) Interpreter() ([]string, error) {
	line, _, _ := strings.Cut(string(s), "\n")
	rest, ok := strings.CutPrefix(line, "#!")
	words := strings.Fields(rest)
	if !ok || len(words) == 0 {
		return nil, &Error{Op: "script", Kind: ErrInvalid, Err: errors.New("the first line does not name a shell")}
	}
	shell := words
	if path.Base(shell[0]) == "env" && len(shell) > 1 {
		shell = shell[1:]
	}
	if !slices.Contains([]string{"sh", "bash", "dash", "ksh"}, path.Base(shell[0])) {
		return nil, &Error{Op: "script", Kind: ErrInvalid, Err: fmt.Errorf("%q is not sh, bash, dash or ksh", shell[0])}
	}
	return words, nil
}

// Directives gives the lines "#SBATCH …" that Slurm would read: those before the
// first command.
func (s Script) Directives() []string {
	var all []string
	for line := range strings.Lines(string(s)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "#SBATCH"):
			all = append(all, line)
		case strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#"):
			return all
		}
	}
	return all
}
