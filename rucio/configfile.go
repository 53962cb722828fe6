package rucio

import (
	"errors"
	"fmt"
	"strings"
)

// A configFile is a rucio.cfg as Python's ConfigParser reads it: section names as
// they are, keys in lower case, values before interpolation. Section DEFAULT holds for all.
type configFile map[string]map[string]string

const defaultSection = "DEFAULT"

// parseConfig reads a file. There are no comments behind a value; a line that is
// indented deeper than its key goes on with the value; what is there twice is an error.
func parseConfig(text string) (configFile, error) {
	f := configFile{defaultSection: {}}
	parts := map[string][]string{} // lines of the value that is being read
	var section, key string
	var indent int
	seen := map[string]bool{}
	store := func() {
		if key != "" {
			f[section][key] = strings.TrimRight(strings.Join(parts[key], "\n"), whitespace)
			delete(parts, key)
		}
		key = ""
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	for i, line := range strings.Split(text, "\n") {
		bad := func(why string) error { return fmt.Errorf("line %d: %s", i+1, why) }
		value := strings.TrimSpace(line)
		if value != "" && (value[0] == '#' || value[0] == ';') {
			continue
		}
		if value == "" {
			if key != "" {
				parts[key] = append(parts[key], "")
			}
			continue
		}
		deep := len(line) - len(strings.TrimLeft(line, whitespace))
		if key != "" && deep > indent {
			parts[key] = append(parts[key], value)
			continue
		}
		indent = deep
		store()
		if end := strings.LastIndexByte(value, ']'); value[0] == '[' && end > 1 {
			section = value[1:end]
			if section != defaultSection && f[section] != nil {
				return nil, bad("section " + section + " is there twice")
			}
			if f[section] == nil {
				f[section] = map[string]string{}
			}
			continue
		}
		at := strings.IndexAny(value, "=:")
		switch {
		case section == "":
			return nil, bad("it is in no section")
		case at <= 0:
			return nil, bad("it is no KEY = VALUE")
		}
		key = strings.ToLower(strings.TrimSpace(value[:at]))
		if id := section + "\n" + key; seen[id] {
			return nil, bad("key " + key + " is there twice in section " + section)
		} else {
			seen[id] = true
		}
		parts[key] = []string{strings.TrimSpace(value[at+1:])}
	}
	if section != "" {
		store()
	}
	return f, nil
}

const whitespace = " \t\v\f\n\r"

var errPercent = errors.New(`a % that is no part of %(KEY)s is written as %%`)

// get is a value with its references to other keys filled in, "" if there is none.
func (f configFile) get(section, key string) (string, error) {
	raw, ok := f.raw(section, key)
	if !ok {
		return "", nil
	}
	value, err := f.expand(section, raw, 1)
	if err != nil {
		return "", fmt.Errorf("section %s, key %s: %w", section, key, err)
	}
	return value, nil
}

// raw finds a value. As with Python, a section that is not there has no defaults.
func (f configFile) raw(section, key string) (string, bool) {
	s, ok := f[section]
	if !ok {
		return "", false
	}
	if v, ok := s[key]; ok {
		return v, true
	}
	v, ok := f[defaultSection][key]
	return v, ok
}

func (f configFile) expand(section, raw string, depth int) (string, error) {
	if depth > 10 {
		return "", errors.New("keys refer to each other too deeply")
	}
	var b strings.Builder
	for {
		text, rest, found := strings.Cut(raw, "%")
		b.WriteString(text)
		if !found {
			return b.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "%"); ok {
			b.WriteByte('%')
			raw = after
			continue
		}
		name, after, ok := strings.Cut(strings.TrimPrefix(rest, "("), ")s")
		if !strings.HasPrefix(rest, "(") || !ok || name == "" || strings.Contains(name, ")") {
			return "", errPercent
		}
		v, ok := f.raw(section, strings.ToLower(name))
		if !ok {
			return "", fmt.Errorf("there is no key %s to fill in", name)
		}
		v, err := f.expand(section, v, depth+1)
		if err != nil {
			return "", err
		}
		b.WriteString(v)
		raw = after
	}
}
