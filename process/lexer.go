package process

import (
	"errors"
	"fmt"
	"strings"
)

// A lexer knows where in a shell script it is, as far as that decides whether a
// single-quoted word would be taken as one: the grammar of POSIX.1-2017, shell
// command language, 2.2 to 2.6, and what of bash looks alike. What it cannot tell
// apart it refuses. Its zero value is the beginning of a script; it is a value
// that can be copied.
type lexer struct {
	in      string // what we are in, innermost last: one of the in… letters each
	word    state3 // within a word, where # is no comment
	token   string // the plain word so far
	escaped bool   // the last character was a backslash that quotes the next
	dollar  bool   // the last character was a $ that may begin something
	less    int    // how many < came last
	paren   bool   // the last character was an opening parenthesis
}

const (
	inSingle  = 's' // '…'
	inDouble  = 'd' // "…"
	inComment = '#'
	inParen   = '(' // (…), $(…)
	inMath    = 'm' // the inner half of ((…)), $((…))
	inBrace   = '{' // ${…}
)

// A state3 is no, yes, or either.
type state3 int

const (
	no state3 = iota
	yes
	either
)

func (l *lexer) top() byte {
	if l.in == "" {
		return 0
	}
	return l.in[len(l.in)-1]
}

func (l *lexer) push(c byte) { l.in += string(c) }
func (l *lexer) pop()        { l.in = l.in[:len(l.in)-1] }

// text goes on through a fixed text; of an error it tells at which byte.
func (l *lexer) text(b []byte) (int, error) {
	for i, c := range b {
		if err := l.char(c); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func (l *lexer) char(c byte) error {
	if l.escaped {
		l.escaped = false
		return nil
	}
	dollar, paren, less := l.dollar, l.paren, l.less
	l.dollar, l.paren, l.less = false, false, 0
	if less == 2 && c != '<' {
		return errHere
	}
	top := l.top()
	switch {
	case top == inSingle:
		if c == '\'' {
			l.pop()
		}
		return nil
	case top == inComment:
		if c == '\n' {
			l.pop()
			l.word, l.token = no, ""
		}
		return nil
	case c == '\\':
		l.escaped, l.word, l.token = true, yes, ""
		return nil
	case c == '`':
		return errors.New("a backquote cannot be judged: use $(…)")
	case c == '$':
		l.dollar, l.word = !dollar, yes
		return nil
	case dollar && c == '{':
		l.push(inBrace)
		return nil
	case dollar && c == '(':
		l.push(inParen)
		l.paren, l.word, l.token = true, no, ""
		return nil
	case top == inDouble:
		if c == '"' {
			l.pop()
			l.word, l.token = yes, ""
		}
		return nil
	case top == inBrace || top == inMath:
		return l.intricate(c)
	}
	return l.plain(c, dollar, paren, less)
}

// intricate is within ${…} or ((…)), where shells disagree about quotes.
func (l *lexer) intricate(c byte) error {
	switch {
	case c == '\'' || c == '"':
		return errors.New("quotes within ${…} or ((…)) cannot be judged: use a variable")
	case l.top() == inBrace && c == '}':
		l.pop()
	case l.top() == inMath && c == '(':
		l.push(inMath)
	case l.top() == inMath && c == ')':
		l.pop()
	}
	return nil
}

func (l *lexer) plain(c byte, dollar, paren bool, less int) error {
	switch c {
	case '\'':
		if dollar {
			return errors.New("$'…' is not the same in every shell")
		}
		l.push(inSingle)
		l.word, l.token = yes, ""
	case '"':
		l.push(inDouble)
		l.word, l.token = yes, ""
	case '#':
		switch {
		case dollar || l.word == yes: // $# and a#b
		case l.word == no:
			l.push(inComment)
		default:
			return errors.New("whether this # begins a comment depends on a value: put a space or quotes before it")
		}
	case '(':
		if paren {
			l.push(inMath)
		} else {
			l.push(inParen)
			l.paren = true
		}
		l.word, l.token = no, ""
	case ')':
		if l.top() == inParen {
			l.pop()
			l.word = yes
		} else {
			l.word = no // of a pattern of case
		}
		l.token = ""
	case '<':
		l.less = less + 1
		l.word, l.token = no, ""
	case ' ', '\t', '\n', ';', '&', '|', '>':
		if l.token == "case" && strings.ContainsRune(l.in, inParen) {
			return errors.New("case within parentheses cannot be judged: put it into a function")
		}
		l.word, l.token = no, ""
	default:
		l.word = yes
		l.token += string(c)
	}
	return nil
}

var errHere = errors.New("a here-document, or << in arithmetic, cannot be judged: use printf or variables")

// value says whether a quoted word may stand here.
func (l *lexer) value() error {
	switch {
	case l.top() == inSingle || l.top() == inDouble:
		return errors.New("stands within quotes: give it to a variable first, as in x={{…}}")
	case l.top() == inComment:
		return errors.New("stands in a comment, which a line break in it would end")
	case strings.ContainsAny(l.in, string(inBrace)+string(inMath)):
		return errors.New("stands within ${…} or ((…)): give it to a variable first")
	case l.escaped || l.dollar:
		return errors.New("follows a backslash or a $, which would change its quotes")
	case l.less == 2:
		return errHere
	}
	l.paren, l.less, l.token = false, 0, ""
	l.word = either // an empty list is no word
	return nil
}

// join makes one of two ways to the same place.
func (l *lexer) join(o lexer) error {
	if l.in != o.in || l.escaped != o.escaped || l.dollar != o.dollar || l.less != o.less {
		return errors.New("quotes, comments and parentheses must end in the branch in which they begin")
	}
	if l.word != o.word {
		l.word = either
	}
	if l.token != o.token {
		l.token = ""
	}
	l.paren = l.paren || o.paren
	return nil
}

// end says whether the script may end here.
func (l *lexer) end() error {
	if in := strings.TrimSuffix(l.in, string(inComment)); in != "" || l.escaped {
		return fmt.Errorf("the script ends within %q", in+strings.Repeat(`\`, map[bool]int{true: 1}[l.escaped]))
	}
	return nil
}
