package cax

import (
	"fmt"
	"maps"
	"strings"
)

// A KeyInfo documents one key of the configuration.
type KeyInfo struct {
	Name    string
	Type    string // the sort of value, as "text" or "list of sites"
	Unit    string // "" if it has none
	Default string // what its absence means
	Example string // a valid value, in JSON
	Doc     string // one sentence

	null     bool   // null is as good as its absence
	required bool   // has to be there
	legacy   string // why it is accepted and has no effect; "" if it has one
	alias    string // another key with the same meaning, of which only one may stand
	schema   map[string]any
}

// A key is a key of an object that describes a T.
type key[T any] struct {
	KeyInfo
	read func(d *decoder, n *node, k *slot, t *T)
}

// field makes a key whose value is of a kind and goes to a field of T. What info
// leaves open about the sort of value is filled in.
func field[T, V any](kind valueKind[V], to func(*T) *V, info KeyInfo) key[T] {
	if info.Type == "" {
		info.Type = kind.name
	}
	info.schema = kind.schema
	return key[T]{info, func(d *decoder, n *node, k *slot, t *T) {
		if v, ok := kind.read(d, n, k); ok {
			*to(t) = v
		}
	}}
}

// ignored makes a key that is accepted and has no effect.
func ignored[T any](name, why string) key[T] {
	return key[T]{KeyInfo{Name: name, Type: "any", Example: "null", Doc: "Accepted, no effect: " + why + ".", null: true, legacy: why, schema: map[string]any{}},
		func(*decoder, *node, *slot, *T) {}}
}

// A section is an object of the configuration: what it is, and its keys.
type section[T any] struct {
	what string // "a site"
	keys []key[T]
}

func (s *section[T]) names() []string {
	names := make([]string, len(s.keys))
	for i := range s.keys {
		names[i] = s.keys[i].Name
	}
	return names
}

// decode reads an object into t, noting everything that is wrong with it. It
// returns the values by key, nil if n is no object.
func (s *section[T]) decode(d *decoder, n *node, at string, t *T) map[string]*node {
	if n.kind != isObject {
		d.fail(n.off, at, fmt.Sprintf("%s where %s should be", n, s.what), fmt.Sprintf("write an object with the keys of %s: {%q: …}", s.what, s.keys[0].Name))
		return nil
	}
	seen := map[string]member{}
	for _, m := range n.members {
		path := join(at, m.key)
		if was, ok := seen[m.key]; ok {
			line, _ := d.src.position(was.off)
			if was.value.equal(m.value) {
				d.note(m.off, path, fmt.Sprintf("the key stands twice with the same value, before on line %d", line), "remove one")
			} else {
				d.fail(m.off, path, fmt.Sprintf("the key stands twice with different values, before on line %d", line), "remove the wrong one")
			}
			continue
		}
		seen[m.key] = m
		k := s.key(m.key)
		switch {
		case k == nil:
			d.fail(m.off, path, fmt.Sprintf("%s has no such key", s.what), suggest(m.key, s.names()))
		case k.legacy != "":
			d.ignored(m.off, path, m.key, k.legacy)
		case m.value.bad:
		case m.value.kind == isNull && k.null:
		case m.value.kind == isNull && k.required:
			d.fail(m.value.off, path, "null is not possible here", "write for example "+k.Example)
		case m.value.kind == isNull:
			d.fail(m.value.off, path, "null is not possible here", "leave the key out, or write for example "+k.Example)
		default:
			k.read(d, m.value, &slot{path, &k.KeyInfo}, t)
		}
	}
	vals := map[string]*node{}
	for name, m := range seen {
		vals[name] = m.value
	}
	for i := range s.keys {
		k := &s.keys[i]
		if _, ok := seen[k.Name]; k.required && !ok {
			d.fail(n.off, join(at, k.Name), fmt.Sprintf("%s needs the key %q", s.what, k.Name), fmt.Sprintf("add it, for example %q: %s", k.Name, k.Example))
		}
		if m, ok := seen[k.Name]; k.alias != "" && ok && m.value.kind != isNull {
			if o, ok := seen[k.alias]; ok && o.value.kind != isNull && !o.value.equal(m.value) {
				d.fail(m.off, join(at, k.Name), fmt.Sprintf("%q and %q mean the same and differ", k.alias, k.Name), "remove one")
			}
		}
	}
	return vals
}

func (s *section[T]) key(name string) *key[T] {
	for i := range s.keys {
		if s.keys[i].Name == name {
			return &s.keys[i]
		}
	}
	return nil
}

// schema is the section in JSON schema.
func (s *section[T]) schema() map[string]any {
	props, required := map[string]any{}, []string{}
	for i := range s.keys {
		k := &s.keys[i]
		p := maps.Clone(k.schema)
		if k.null && k.legacy == "" {
			p = map[string]any{"anyOf": []any{p, map[string]any{"type": "null"}}}
		}
		p["description"] = k.Doc
		if k.Unit != "" {
			p["description"] = strings.TrimSuffix(k.Doc, ".") + " (" + k.Unit + ")."
		}
		props[k.Name] = p
		if k.required {
			required = append(required, k.Name)
		}
	}
	o := map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// infos are the keys without their types.
func (s *section[T]) infos() []KeyInfo {
	is := make([]KeyInfo, len(s.keys))
	for i := range s.keys {
		is[i] = s.keys[i].KeyInfo
	}
	return is
}
