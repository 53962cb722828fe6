package cax

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep values may be nested; no configuration needs more.
const maxDepth = 32

// maxProblems in the syntax of a file say that it is no configuration.
const maxProblems = 100

// A parser reads JSON and goes on after the mistakes that people make by hand:
// commas too many or too few, comments, and the words of Python.
type parser struct {
	src      *source
	data     []byte
	off      int
	problems []Problem
	gaveUp   bool // what follows the last problem was not read
}

// giveUp ends the parsing; the problem has been noted.
type giveUp struct{}

// parseJSON returns the value that a file holds. If it is nil, or gaveUp is set,
// the file could not be read to its end and problems says why.
func parseJSON(src *source) (n *node, problems []Problem, gaveUp bool) {
	p := &parser{src: src, data: src.data}
	func() {
		defer func() {
			if e := recover(); e != nil {
				if _, ok := e.(giveUp); !ok {
					panic(e)
				}
				p.gaveUp = true
			}
		}()
		n = p.document()
	}()
	return n, p.problems, p.gaveUp
}

func (p *parser) note(off int, key, text, remedy string) {
	p.problems = append(p.problems, p.src.problem(off, key, text, remedy))
	if len(p.problems) >= maxProblems {
		panic(giveUp{})
	}
}

func (p *parser) stop(off int, key, text, remedy string) {
	p.note(off, key, text, remedy)
	panic(giveUp{})
}

func (p *parser) document() *node {
	if bytes.HasPrefix(p.data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(p.data, []byte{0xFE, 0xFF}) {
		p.stop(0, "", "the file is UTF-16", "save it as UTF-8")
	}
	if bytes.HasPrefix(p.data, []byte("\uFEFF")) {
		p.note(0, "", "the file begins with a byte order mark", "save it as UTF-8 without BOM")
		p.off = 3
	}
	p.space("")
	if p.off == len(p.data) {
		p.stop(p.off, "", "the file is empty", `write an array of sites, or an object with "sites"`)
	}
	n := p.value("", 0)
	p.space("")
	if p.off < len(p.data) {
		p.stop(p.off, "", fmt.Sprintf("%s after the end of the configuration", p.here()), "remove it, or look for a bracket that closes too early")
	}
	return n
}

// here names the next character.
func (p *parser) here() string {
	if p.off >= len(p.data) {
		return "the end of the file"
	}
	r, _ := utf8.DecodeRune(p.data[p.off:])
	return strconv.QuoteRune(r)
}

// next is the next byte, 0 at the end.
func (p *parser) next() byte {
	if p.off < len(p.data) {
		return p.data[p.off]
	}
	return 0
}

// space skips white space, and comments, which it notes.
func (p *parser) space(key string) {
	for p.off < len(p.data) {
		rest := p.data[p.off:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			p.off++
		case rest[0] == '#', bytes.HasPrefix(rest, []byte("//")):
			p.note(p.off, key, "JSON has no comments", "remove it")
			if i := bytes.IndexByte(rest, '\n'); i >= 0 {
				p.off += i
			} else {
				p.off = len(p.data)
			}
		case bytes.HasPrefix(rest, []byte("/*")):
			p.note(p.off, key, "JSON has no comments", "remove it")
			if i := bytes.Index(rest, []byte("*/")); i >= 0 {
				p.off += i + 2
			} else {
				p.off = len(p.data)
			}
		default:
			return
		}
	}
}

func (p *parser) value(key string, depth int) *node {
	if depth > maxDepth {
		p.stop(p.off, key, "values are nested too deep", "look for brackets that are not closed")
	}
	n := &node{off: p.off}
	switch c := p.next(); {
	case c == '{':
		n.kind = isObject
		p.list(key, '}', func(i int) {
			m := member{off: p.off}
			if p.next() != '"' {
				p.stop(p.off, key, fmt.Sprintf("%s where a key should begin", p.here()), `write the key in double quotes, as "name"`)
			}
			m.key, _ = p.text(key)
			at := join(key, m.key)
			p.space(at)
			if p.next() != ':' {
				p.stop(p.off, at, fmt.Sprintf("%s after the key, where a colon should be", p.here()), "put a colon between key and value")
			}
			p.off++
			p.space(at)
			m.value = p.value(at, depth+1)
			n.members = append(n.members, m)
		}, n.off)
	case c == '[':
		n.kind = isArray
		p.list(key, ']', func(i int) {
			n.items = append(n.items, p.value(index(key, i), depth+1))
		}, n.off)
	case c == '"':
		ok := false
		n.kind = isString
		n.text, ok = p.text(key)
		n.bad = !ok
	case c == '-' || '0' <= c && c <= '9':
		n.kind, n.text = isNumber, p.number(key)
		n.bad = n.text == ""
	default:
		p.word(key, n)
	}
	return n
}

// list reads what stands between brackets; each reads one element.
func (p *parser) list(key string, end byte, each func(i int), opened int) {
	if key == "" && end == ']' {
		key = "sites"
	}
	p.off++
	p.space(key)
	for i := 0; ; i++ {
		if p.next() == end {
			p.off++
			return
		}
		if p.off == len(p.data) {
			p.unclosed(key, opened)
		}
		each(i)
		p.space(key)
		switch p.next() {
		case end:
			continue
		case ',':
			comma := p.off
			p.off++
			p.space(key)
			for p.next() == ',' {
				p.note(p.off, key, "two commas in a row", "remove one")
				p.off++
				p.space(key)
			}
			if p.next() == end {
				p.note(comma, key, "a comma after the last element", "remove the comma")
			}
		case '"', '{', '[', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 't', 'f', 'n':
			p.note(p.off, key, "a comma is missing before this", "put a comma between the elements")
		default:
			if p.off == len(p.data) {
				p.unclosed(key, opened)
			}
			p.stop(p.off, key, fmt.Sprintf("%s where a comma or %q should be", p.here(), end), fmt.Sprintf("put a comma between elements and %q after the last", end))
		}
	}
}

func (p *parser) unclosed(key string, opened int) {
	line, _ := p.src.position(opened)
	p.stop(p.off, key, fmt.Sprintf("the file ends, and %q of line %d is still open", p.data[opened], line), "close it, or restore the end of the file")
}

// text reads a string. false means that it was noted as none.
func (p *parser) text(key string) (s string, ok bool) {
	start := p.off
	clean := true
	for p.off++; ; p.off++ {
		switch c := p.next(); {
		case p.off >= len(p.data) || c == '\n':
			p.stop(start, key, "the text that begins here has no closing quote on its line", `close it with "`)
		case c == '"':
			p.off++
			raw := p.data[start:p.off]
			p.encoding(start, raw, key)
			if !clean {
				raw = bytes.Map(func(r rune) rune {
					if r < ' ' {
						return ' '
					}
					return r
				}, raw)
			}
			if err := json.Unmarshal(raw, &s); err != nil {
				p.note(start, key, "the text holds a bad escape", `write \\ for a backslash, and \u with four hexadecimal digits`)
				return "", false
			}
			return s, true
		case c == '\\':
			p.off++
			if p.next() == '\n' || p.off >= len(p.data) {
				p.off--
			}
		case c < ' ':
			p.note(p.off, key, fmt.Sprintf("control character %s in a text", p.here()), `write \t for a tab, and nothing else of that sort`)
			clean = false
		}
	}
}

// encoding notes the first byte of a text that is not UTF-8.
func (p *parser) encoding(start int, raw []byte, key string) {
	for off := 0; off < len(raw); {
		r, n := utf8.DecodeRune(raw[off:])
		if r == utf8.RuneError && n == 1 {
			p.note(start+off, key, fmt.Sprintf("byte %#02x is not UTF-8", raw[off]), "save the file as UTF-8")
			return
		}
		off += n
	}
}

// number reads a number's literal, "" if it is none.
func (p *parser) number(key string) string {
	start := p.off
	for strings.IndexByte("+-.0123456789eE_abcdfxABCDFX", p.next()) >= 0 && p.off < len(p.data) {
		p.off++
	}
	s := string(p.data[start:p.off])
	if !json.Valid([]byte(s)) {
		p.note(start, key, fmt.Sprintf("%s is not a number in JSON", short(s)), "write it in decimal without leading zeros, or put a text in double quotes")
		return ""
	}
	return s
}

// word reads null, true and false, and what people write instead.
func (p *parser) word(key string, n *node) {
	start := p.off
	for p.off < len(p.data) && (p.next() == '_' || p.next()|0x20 >= 'a' && p.next()|0x20 <= 'z') {
		p.off++
	}
	w := string(p.data[start:p.off])
	say := func(right string) {
		if w != right {
			p.note(start, key, fmt.Sprintf("%s is not a word of JSON", w), "write "+right)
		}
	}
	switch strings.ToLower(w) {
	case "null", "none", "nil":
		say("null")
	case "true":
		n.kind, n.truth = isBool, true
		say("true")
	case "false":
		n.kind = isBool
		say("false")
	case "":
		switch {
		case p.next() == '\'':
			p.stop(start, key, "a text in single quotes", `write it in double quotes, as "name"`)
		case p.next() == ',':
			p.stop(start, key, "a comma where a value should be", "remove the comma, or write the value")
		}
		p.stop(start, key, fmt.Sprintf("%s where a value should be", p.here()), "write a value: a text in double quotes, a number, true, false, null, […] or {…}")
	default:
		p.note(start, key, fmt.Sprintf("%s is not a word of JSON", short(w)), fmt.Sprintf("put it in double quotes: %q", short(w)))
		n.kind, n.text = isString, w
	}
}
