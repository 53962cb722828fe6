package cax

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// A node is a JSON value that knows where it stands in its file. Objects keep
// repeated keys.
type node struct {
	kind    kind
	off     int
	text    string // of a string, or the literal of a number
	truth   bool
	bad     bool // a problem with it was noted, and its value means nothing
	items   []*node
	members []member
}

type member struct {
	key   string
	off   int // of the key
	value *node
}

type kind byte

const (
	isNull kind = iota
	isBool
	isNumber
	isString
	isArray
	isObject
)

func (k kind) String() string {
	return [...]string{"null", "true or false", "a number", "a text", "an array", "an object"}[k]
}

// String shows the value as a person would name it in a sentence.
func (n *node) String() string {
	switch n.kind {
	case isNull:
		return "null"
	case isBool:
		return strconv.FormatBool(n.truth)
	case isNumber:
		return "the number " + short(n.text)
	case isString:
		return "the text " + strconv.Quote(short(n.text))
	}
	return n.kind.String()
}

// short cuts a value that is too long for a sentence.
func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// equal reports whether two values are the same.
func (n *node) equal(o *node) bool {
	return n.kind == o.kind && n.text == o.text && n.truth == o.truth &&
		slices.EqualFunc(n.items, o.items, (*node).equal) &&
		slices.EqualFunc(n.members, o.members, func(a, b member) bool { return a.key == b.key && a.value.equal(b.value) })
}

// join gives the path of a key of an object, as sites[2].hostname.
func join(at, key string) string {
	plain := key != ""
	for _, r := range key {
		plain = plain && (r == '_' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z')
	}
	switch {
	case !plain:
		return at + "[" + strconv.Quote(short(key)) + "]"
	case at == "":
		return key
	}
	return at + "." + key
}

// index gives the path of an element of an array. That of the file itself is the
// array of sites.
func index(at string, i int) string {
	if at == "" {
		at = "sites"
	}
	return at + "[" + strconv.Itoa(i) + "]"
}

// A source is the text of one file of a configuration.
type source struct {
	file  string
	data  []byte
	lines []int // offsets at which lines begin; made when first needed
}

// position gives line and column of an offset, counted from 1, columns in
// characters.
func (s *source) position(off int) (line, col int) {
	if s.lines == nil {
		s.lines = []int{0}
		for i, c := range s.data {
			if c == '\n' {
				s.lines = append(s.lines, i+1)
			}
		}
	}
	i, ok := slices.BinarySearch(s.lines, off)
	if !ok {
		i--
	}
	return i + 1, 1 + utf8.RuneCount(s.data[s.lines[i]:off])
}

func (s *source) problem(off int, key, text, remedy string) Problem {
	line, col := s.position(off)
	return Problem{File: s.file, Line: line, Col: col, Key: key, Text: text, Remedy: remedy}
}
