package command

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Permute puts the arguments of a command line, without the program's name, into
// the order that the parser of app needs: global flags, the command, its flags,
// "--", its arguments. Flags may stand anywhere before "--"; underscores in their
// names stand for hyphens where only that is known. "help X" and "X help" of a
// command with subcommands become "X --help".
//
// A UsageError, with the nearest valid name where there is one: an unknown
// command or flag, a flag of another command, a value that is missing or is
// itself a flag, a flag given twice with different values.
func Permute(app *cli.App, args []string) ([]string, error) {
	p := &permuter{app: app, given: map[string]string{}}
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		switch {
		case a == "--":
			p.positional = append(p.positional, args...)
			args = nil
		case len(a) > 1 && a[0] == '-':
			used, err := p.flag(a, args)
			if err != nil {
				return nil, err
			}
			args = args[used:]
		default:
			if err := p.word(a); err != nil {
				return nil, err
			}
		}
	}
	return p.result()
}

type permuter struct {
	app        *cli.App
	path       []*cli.Command // the command and its subcommand
	global     []string
	local      []localFlag
	positional []string
	given      map[string]string // value of each flag, by its first name
	help       bool
}

type localFlag struct {
	flag  cli.Flag
	token string
}

// command is the one that was named last; nil if none was.
func (p *permuter) command() *cli.Command {
	if len(p.path) == 0 {
		return nil
	}
	return p.path[len(p.path)-1]
}

func (p *permuter) called() string {
	s := p.app.Name
	for _, c := range p.path {
		s += " " + c.Name
	}
	return s
}

// word takes an argument that is no flag: a command's name as long as one is
// expected, else an argument.
func (p *permuter) word(a string) error {
	known := p.app.Commands
	if c := p.command(); c != nil {
		known = c.Subcommands
	}
	if len(known) == 0 {
		p.positional = append(p.positional, a)
		return nil
	}
	if a == "help" {
		p.help = true
		return nil
	}
	var names []string
	for _, c := range known {
		if c.HasName(a) {
			p.path = append(p.path, c)
			return nil
		}
		names = append(names, c.Name)
	}
	next := DidYouMean(a, names)
	if next == "" {
		next = "it has " + strings.Join(names, ", ")
	}
	return Usagef(next, "%s has no command %q", p.called(), a)
}

// flag takes a flag, and its value from the arguments that follow where it needs
// one. It returns how many of them it used.
func (p *permuter) flag(a string, rest []string) (used int, err error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(a, "-"), "=")
	if name == "help" || name == "h" {
		p.help = true
		return 0, nil
	}
	f, global := p.find(name)
	if f == nil {
		return 0, p.unknown(a, name)
	}
	name = spelling(f, name)
	token := "--" + name
	switch needs := takesValue(f); {
	case hasValue:
		token += "=" + value
	case needs && len(rest) == 0:
		return 0, Usagef("", "flag --%s needs a value", name)
	case needs:
		value, used = rest[0], 1
		if next, _, _ := strings.Cut(strings.TrimLeft(value, "-"), "="); strings.HasPrefix(value, "--") && (value == "--" || p.isFlag(next)) {
			return 0, Usagef("write --"+name+"="+value+" if that is meant", "flag --%s needs a value, and %s follows it", name, value)
		}
		token += "=" + value
	default:
		value = "true"
	}
	first := f.Names()[0]
	if was, ok := p.given[first]; ok && was != value && !repeatable(f) {
		return 0, Usagef("give it once", "flag --%s is given as %q and as %q", first, was, value)
	}
	p.given[first] = value
	if global {
		p.global = append(p.global, token)
	} else {
		p.local = append(p.local, localFlag{f, token})
	}
	return used, nil
}

// find looks a flag up: global ones, those of the command, and, before the
// command was named, those of all.
func (p *permuter) find(name string) (f cli.Flag, global bool) {
	if f := lookup(p.app.Flags, name); f != nil {
		return f, true
	}
	if c := p.command(); c != nil {
		if f := lookup(c.Flags, name); f != nil {
			return f, false
		}
		if len(c.Subcommands) == 0 {
			return nil, false
		}
		return within(c.Subcommands, name), false
	}
	return within(p.app.Commands, name), false
}

func within(cs []*cli.Command, name string) cli.Flag {
	for _, c := range cs {
		if f := lookup(c.Flags, name); f != nil {
			return f
		}
		if f := within(c.Subcommands, name); f != nil {
			return f
		}
	}
	return nil
}

func (p *permuter) isFlag(name string) bool {
	f, _ := p.find(name)
	return f != nil || name == "help"
}

func lookup(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if spelling(f, name) != "" {
			return f
		}
	}
	return nil
}

// spelling is the flag's own spelling of a name; "" if it is not one of its.
func spelling(f cli.Flag, name string) string {
	for _, n := range f.Names() {
		if n == name || strings.ReplaceAll(n, "_", "-") == strings.ReplaceAll(name, "_", "-") {
			return n
		}
	}
	return ""
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

func repeatable(f cli.Flag) bool {
	_, ok := f.(*cli.StringSliceFlag)
	return ok
}

func (p *permuter) unknown(a, name string) error {
	flags := p.app.Flags
	if c := p.command(); c != nil {
		flags = slices.Concat(c.Flags, flags)
	}
	names := []string{"--help"}
	for _, f := range flags {
		for _, n := range f.Names() {
			names = append(names, "--"+n)
		}
	}
	given, _, _ := strings.Cut(a, "=")
	next := DidYouMean(given, names)
	if next == "" {
		if c := owner(p.app.Commands, name); c != "" {
			next = "it belongs to " + p.app.Name + " " + c
		} else {
			next = "see " + p.called() + " --help"
		}
	}
	return Usagef(next, "%s has no flag %s", p.called(), given)
}

// owner names the command that has a flag; "" if none has.
func owner(cs []*cli.Command, name string) string {
	for _, c := range cs {
		if lookup(c.Flags, name) != nil {
			return c.Name
		}
		if sub := owner(c.Subcommands, name); sub != "" {
			return c.Name + " " + sub
		}
	}
	return ""
}

func (p *permuter) result() ([]string, error) {
	var out []string
	if p.help {
		for _, c := range p.path {
			out = append(out, c.Name)
		}
		return append(out, "--help"), nil
	}
	out = append(out, p.global...)
	c := p.command()
	for _, c := range p.path {
		out = append(out, c.Name)
	}
	for _, l := range p.local {
		if c == nil || !slices.Contains(c.Flags, l.flag) {
			// It was given before the command, which may have one of the same name.
			name, _, _ := strings.Cut(strings.TrimPrefix(l.token, "--"), "=")
			if c == nil || lookup(c.Flags, name) == nil {
				return nil, p.unknown("--"+name, name)
			}
		}
		out = append(out, l.token)
	}
	if len(p.positional) > 0 {
		if c == nil {
			return nil, Usagef("", "%s has no command %q", p.app.Name, p.positional[0])
		}
		out = append(out, "--")
		out = append(out, p.positional...)
	}
	return out, nil
}
