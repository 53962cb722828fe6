package correction

import (
	"fmt"
	"strings"
)

// A token is one word of a formula.
type token struct {
	kind tokenKind
	text string
	at   int // byte where it begins
}

type tokenKind int

const (
	endOfFormula tokenKind = iota
	aName
	aNumber
	aSign // an operator, parenthesis or comma
)

func (t token) String() string {
	if t.kind == endOfFormula {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

// signs are the operators that are known, longest first. Some of them are only known
// so that the message can say what to write instead.
func signs() []string {
	return []string{"**", "//", "<=", ">=", "==", "!=", "<<", ">>", ":=", "+", "-", "*", "/", "%", "<", ">", "&", "|", "~", "^", "(", ")", ",", "=", "!"}
}

// tokens takes a formula apart. Its last token is endOfFormula.
func tokens(text string) ([]token, error) {
	var ts []token
	known := signs()
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case isLetter(c):
			n := 1
			for i+n < len(text) && (isLetter(text[i+n]) || isDigit(text[i+n])) {
				n++
			}
			ts = append(ts, token{aName, text[i : i+n], i})
			i += n
			continue
		case isDigit(c) || c == '.' && i+1 < len(text) && isDigit(text[i+1]):
			n := numberLength(text[i:])
			if i+n < len(text) && (isLetter(text[i+n]) || text[i+n] == '.') {
				return nil, syntax(i, fmt.Sprintf("%q is no number", wordAt(text[i:])), "write numbers as 12, 1.5 or 2e6, and * between a number and a name")
			}
			ts = append(ts, token{aNumber, text[i : i+n], i})
			i += n
			continue
		}
		found := false
		for _, s := range known {
			if strings.HasPrefix(text[i:], s) {
				ts = append(ts, token{aSign, s, i})
				i += len(s)
				found = true
				break
			}
		}
		if !found {
			r := []rune(text[i:min(len(text), i+4)])[0]
			return nil, syntax(i, fmt.Sprintf("%q stands in no formula", r), "write numbers, names, + - * / ** < <= > >= & | ~, parentheses and commas")
		}
	}
	return append(ts, token{endOfFormula, "", len(text)}), nil
}

// numberLength is how many bytes of the text are a number: digits, perhaps with _
// between them, a fraction, an exponent.
func numberLength(s string) int {
	digits := func(i int) int {
		for i < len(s) && (isDigit(s[i]) || s[i] == '_' && i > 0 && isDigit(s[i-1]) && i+1 < len(s) && isDigit(s[i+1])) {
			i++
		}
		return i
	}
	n := digits(0)
	if n < len(s) && s[n] == '.' {
		n = digits(n + 1)
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if end := digits(e); end > e {
			n = end
		}
	}
	return n
}

// wordAt is the beginning of a text up to what cannot be in a name or number.
func wordAt(s string) string {
	n := 0
	for n < len(s) && (isLetter(s[n]) || isDigit(s[n]) || s[n] == '.') {
		n++
	}
	return s[:n]
}

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// syntax is the error of a formula that cannot be read. at is the byte where, from 0.
func syntax(at int, text, hint string) error {
	return &Error{Op: "read", What: "formula", Kind: ErrInvalid, Err: fmt.Errorf("column %d: %s", at+1, text), Hint: hint}
}
