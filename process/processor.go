package process

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

// A Processor says how a program makes one product from one run. Command, Check,
// Env and Output are text/templates over an [Input], one for each word: no shell is
// involved, so nothing is quoted, and a value may have any bytes but NUL. A word
// that comes out empty is left out. The functions base, dir and trimprefix (of prefix and
// text) take paths and texts apart.
type Processor struct {
	Name     string `json:"name"`               // as "pax"
	Type     string `json:"type"`               // what it makes, as "processed" or "minitree"
	Version  string `json:"version,omitempty"`  // the version that it is for; "": any
	Detector string `json:"detector,omitempty"` // the detector that it is for; "": any
	Mode     string `json:"mode,omitempty"`     // the mode that it is for, see [Mode]; "": any

	Command []string `json:"command,omitempty"`
	// Script is the [Template] of a shell script, over an Input, to be run instead of
	// Command.
	Script string   `json:"script,omitempty"`
	Output string   `json:"output"`          // the product: a file or directory below the work folder
	Check  []string `json:"check,omitempty"` // a command that ends with 0 if the product is good
	Env    []string `json:"env,omitempty"`   // NAME=value, added to the environment
}

// An Input is what is known about a run that is to be processed.
type Input struct {
	Number   int               // of the run
	Name     string            // of the run
	Detector string            // of the run
	Mode     string            // of the run, see [Mode]
	Events   int64             // in the run
	Version  string            // that is wanted
	Path     string            // the data that are read
	Dir      string            // the work folder
	CPUs     int               // how many cores to use
	Part     string            // of the product, if it has several, as the name of a treemaker
	Vars     map[string]string // a site's own
}

// Modes of taking data.
const (
	ModeSelfTrigger = "self_trigger" // of the TPC
	ModeLED         = "led"          // of the TPC: not self-triggered
)

// Mode is that of a run: the TPC has two, other detectors none.
func Mode(detector string, selfTrigger bool) string {
	switch {
	case detector != "tpc":
		return ""
	case selfTrigger:
		return ModeSelfTrigger
	}
	return ModeLED
}

// Cores is how many cores the original gives a run: one to a small one, with which
// pax stalls on many, else all that there are but one, which moves the data.
func Cores(events int64, ncpu int) int {
	if events < 1000 {
		return 1
	}
	return max(ncpu-1, 1)
}

// fits reports whether a processor is for a type and an input.
func (p Processor) fits(typ string, in Input) bool {
	return p.Type == typ && (p.Version == "" || p.Version == in.Version) &&
		(p.Detector == "" || p.Detector == in.Detector) && (p.Mode == "" || p.Mode == in.Mode)
}

// Find gives the first of several processors that makes a type of product from an
// input. The error wraps ErrNotExist.
func Find(all []Processor, typ string, in Input) (Processor, error) {
	for _, p := range all {
		if p.fits(typ, in) {
			return p, nil
		}
	}
	return Processor{}, &Error{Op: "find processor", What: fmt.Sprintf("%s of detector %q, mode %q, version %q", typ, in.Detector, in.Mode, in.Version),
		Kind: ErrNotExist, Hint: "configure one for them"}
}

// A Plan is what will be executed for one run.
type Plan struct {
	Command []string // argv; of a script: its shell
	Script  Script   // "": there is none; else it goes to the file of the last word of Command
	Output  string   // path of the product
	Check   []string // argv; empty: none
	Env     []string // NAME=value
}

// scriptName is that of a processor's script in the work folder.
const scriptName = ".process.sh"

// Plan fills in the templates. The error wraps ErrInvalid.
func (p Processor) Plan(in Input) (Plan, error) {
	bad := func(err error) (Plan, error) {
		return Plan{}, &Error{Op: "plan", What: "processor " + p.Name, Kind: ErrInvalid, Err: err}
	}
	if !filepath.IsAbs(in.Dir) {
		return bad(fmt.Errorf("the work folder %q is not an absolute path", in.Dir))
	}
	if (len(p.Command) == 0) == (p.Script == "") {
		return bad(errors.New("it needs a command or a script, and not both"))
	}
	var plan Plan
	out, err := fill(p.Output, in)
	if err != nil {
		return bad(err)
	}
	if !filepath.IsLocal(out) || filepath.Clean(out) == "." {
		return bad(fmt.Errorf("the product %q is not below the work folder", out))
	}
	plan.Output = filepath.Join(in.Dir, out)
	if plan.Check, err = fillAll(p.Check, in); err != nil {
		return bad(err)
	}
	if plan.Env, err = fillAll(p.Env, in); err != nil {
		return bad(err)
	}
	if p.Script == "" {
		if plan.Command, err = fillAll(p.Command, in); err == nil && len(plan.Command) == 0 {
			err = errors.New("its command is empty")
		}
		if err != nil {
			return bad(err)
		}
		return plan, nil
	}
	t, err := ParseTemplate("processor "+p.Name, p.Script)
	if err != nil {
		return Plan{}, err
	}
	if plan.Script, err = t.Execute(in); err != nil {
		return Plan{}, err
	}
	if plan.Command, err = plan.Script.Interpreter(); err != nil {
		return Plan{}, err
	}
	plan.Command = append(plan.Command, filepath.Join(in.Dir, scriptName))
	return plan, nil
}

func fillAll(words []string, in Input) ([]string, error) {
	var all []string
	for _, w := range words {
		s, err := fill(w, in)
		if err != nil {
			return nil, err
		}
		if s != "" {
			all = append(all, s)
		}
	}
	return all, nil
}

func fill(text string, in Input) (string, error) {
	t, err := template.New("word").Option("missingkey=error").Funcs(template.FuncMap{
		"base": path.Base, "dir": path.Dir,
		"trimprefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
	}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, in); err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	if bytes.IndexByte(b.Bytes(), 0) >= 0 {
		return "", fmt.Errorf("%q comes out with a NUL byte", text)
	}
	return b.String(), nil
}
