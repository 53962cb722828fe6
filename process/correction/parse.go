package correction

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a formula. Evaluating one visits each of its parts at most once, so that
// the number of parts bounds the cost.
const (
	maxText  = 1 << 20 // bytes
	maxParts = 200_000 // numbers, names, operators and calls
	maxDepth = 200     // parentheses and calls inside each other
)

// A part is a node of a formula that was read.
type part struct {
	op    string // see the constants
	text  string // of a number, or the name of a symbol or function
	args  []*part
	signs []string // in front of the args of a chain, from the second on
	call  function // what is called
	truth bool     // it is a condition and no number
	at    int
}

// What a part is.
const (
	isNumber    = "number"
	isSymbol    = "symbol"
	isConstant  = "constant" // pi, E, True, False
	isChain     = "chain"    // of + and -, of * and /, of &, or of |
	isNegative  = "-"
	isNot       = "~"
	isPower     = "**"
	isCompare   = "compare" // signs[0] is the operator
	isCall      = "call"
	isPiecewise = "piecewise" // value, condition, value, condition, …
)

// A parser reads a formula with the precedences of Python, in which sympy reads it.
type parser struct {
	tokens    []token
	next      int
	symbols   []string
	functions map[string]function
	parts     int
	depth     int
	used      map[string]bool // symbols that stand in the formula
}

// parse reads a formula that is a number.
func parse(text string, symbols []string) (*part, map[string]bool, error) {
	if len(text) > maxText {
		return nil, nil, syntax(0, fmt.Sprintf("it is %d bytes long, %d are possible", len(text), maxText), "shorten it")
	}
	ts, err := tokens(text)
	if err != nil {
		return nil, nil, err
	}
	p := &parser{tokens: ts, symbols: symbols, functions: functions(), used: map[string]bool{}}
	top, err := p.number()
	if err != nil {
		return nil, nil, err
	}
	if t := p.peek(); t.kind != endOfFormula {
		return nil, nil, p.unexpected(t)
	}
	return top, p.used, nil
}

func (p *parser) peek() token { return p.tokens[p.next] }

// take reads one of some signs.
func (p *parser) take(signs ...string) (token, bool) {
	t := p.peek()
	if t.kind != aSign || !slices.Contains(signs, t.text) {
		return t, false
	}
	p.next++
	return t, true
}

func (p *parser) want(sign string) error {
	t, ok := p.take(sign)
	if _, foreign := elsewhere()[t.text]; !ok && foreign {
		return p.unexpected(t)
	}
	if !ok {
		return syntax(t.at, fmt.Sprintf("%s where %q should be", t, sign), "close each parenthesis that is opened, and put commas between arguments")
	}
	return nil
}

// elsewhere says what sympy wants in place of words and signs of other languages.
func elsewhere() map[string]string {
	return map[string]string{
		"^": "write ** for powers", "=": "write Eq(a, b) to compare", ":=": "write Eq(a, b) to compare",
		"!": "write ~ for not", "<<": "write a power of two", ">>": "write a power of two",
		"and": "write (a < b) & (c < d)", "or": "write (a < b) | (c < d)", "not": "write ~(a < b)",
		"if": "write Piecewise((value, condition), (value, True))", "lambda": "write the formula itself",
	}
}

// unexpected says what is wrong with a token that cannot stand where it does.
func (p *parser) unexpected(t token) error {
	hint, ok := elsewhere()[t.text]
	switch {
	case ok:
	case t.kind == aName || t.kind == aNumber:
		hint = "an operator is missing before it: write * to multiply"
	case t.kind == endOfFormula:
		hint = "write the rest of it"
	default:
		hint = "write what it works on, or remove it"
	}
	return syntax(t.at, fmt.Sprintf("%s cannot stand here", t), hint)
}

// new counts a part.
func (p *parser) new(n part) (*part, error) {
	if p.parts++; p.parts > maxParts {
		return nil, syntax(n.at, fmt.Sprintf("it has more than %d parts", maxParts), "shorten it")
	}
	return &n, nil
}

func (p *parser) deeper(at int) error {
	if p.depth++; p.depth > maxDepth {
		return syntax(at, fmt.Sprintf("more than %d parentheses, signs or powers stand inside each other", maxDepth), "split it by Piecewise, or multiply it out")
	}
	return nil
}

// any reads a number or a condition.
func (p *parser) any() (*part, error) {
	if err := p.deeper(p.peek().at); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	left, err := p.or()
	if err != nil {
		return nil, err
	}
	op, ok := p.take("<", "<=", ">", ">=", "==", "!=")
	if !ok {
		return left, nil
	}
	if op.text == "==" || op.text == "!=" {
		// To sympy two expressions that are written differently are different, at once and
		// for all values: nobody means that.
		return nil, syntax(op.at, fmt.Sprintf("%s does not compare values in sympy", op), "write Eq(a, b), or Ne(a, b)")
	}
	right, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind == aSign && slices.Contains([]string{"<", "<=", ">", ">=", "==", "!="}, t.text) {
		return nil, syntax(t.at, "comparisons in a row cannot be read", "write (a < b) & (b < c)")
	}
	return p.compare(op, left, right)
}

func (p *parser) compare(op token, left, right *part) (*part, error) {
	for _, side := range []*part{left, right} {
		if side.truth {
			return nil, syntax(side.at, fmt.Sprintf("a condition stands where %s compares numbers", op), "put each comparison in parentheses: (a < b) & (c < d)")
		}
	}
	return p.new(part{op: isCompare, args: []*part{left, right}, signs: []string{op.text}, truth: true, at: op.at})
}

// number reads what must be a number, condition what must be a condition.
func (p *parser) number() (*part, error) {
	n, err := p.any()
	if err == nil && n.truth {
		return nil, syntax(n.at, "a condition stands where a number should be", "write Piecewise((value, condition), (value, True))")
	}
	return n, err
}

func (p *parser) condition() (*part, error) {
	n, err := p.any()
	if err == nil && !n.truth {
		return nil, syntax(n.at, "a number stands where a condition should be", "write a comparison, as t < 5, or True")
	}
	return n, err
}

// chain reads operands of one precedence, with the signs between them. Those of
// truths are conditions.
func (p *parser) chain(operand func() (*part, error), truths bool, signs ...string) (*part, error) {
	first, err := operand()
	if err != nil {
		return nil, err
	}
	n := first
	for {
		op, ok := p.take(signs...)
		if !ok {
			return n, nil
		}
		arg, err := operand()
		if err != nil {
			return nil, err
		}
		for _, side := range []*part{n, arg} {
			switch {
			case truths && !side.truth:
				return nil, syntax(side.at, fmt.Sprintf("%s joins conditions, and this is a number", op), "put each comparison in parentheses: (a < b) & (c < d)")
			case !truths && side.truth:
				return nil, syntax(side.at, fmt.Sprintf("a condition stands where %s needs a number", op), "write Piecewise((1, condition), (0, True))")
			}
		}
		switch {
		case op.text == "%" || op.text == "//":
			name := map[string]string{"%": "Mod", "//": "floordiv"}[op.text]
			n, err = p.new(part{op: isCall, text: name, call: p.functions[name], args: []*part{n, arg}, at: op.at})
		case n != first && n.op == isChain:
			p.parts++
			n.args, n.signs = append(n.args, arg), append(n.signs, op.text)
			if p.parts > maxParts {
				_, err = p.new(part{at: op.at})
			}
		default:
			n, err = p.new(part{op: isChain, args: []*part{n, arg}, signs: []string{op.text}, truth: truths, at: first.at})
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) or() (*part, error) { return p.chain(p.and, true, "|") }

func (p *parser) and() (*part, error) { return p.chain(p.sum, true, "&") }

func (p *parser) sum() (*part, error) { return p.chain(p.product, false, "+", "-") }

func (p *parser) product() (*part, error) { return p.chain(p.signed, false, "*", "/", "%", "//") }

// signed reads a power, with signs in front of it.
func (p *parser) signed() (*part, error) {
	op, ok := p.take("-", "+", "~")
	if !ok {
		return p.power()
	}
	if err := p.deeper(op.at); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	arg, err := p.signed()
	switch {
	case err != nil:
		return nil, err
	case op.text == "~" && !arg.truth:
		return nil, syntax(op.at, "~ stands before a number", "put the comparison in parentheses: ~(a < b)")
	case op.text != "~" && arg.truth:
		return nil, syntax(op.at, fmt.Sprintf("%s stands before a condition", op), "write ~ for not")
	case op.text == "+":
		return arg, nil
	}
	return p.new(part{op: op.text, args: []*part{arg}, truth: arg.truth, at: op.at})
}

// power reads a ** b, in which b may have a sign and a power of its own.
func (p *parser) power() (*part, error) {
	base, err := p.atom()
	if err != nil {
		return nil, err
	}
	op, ok := p.take("**")
	if !ok {
		return base, nil
	}
	if err := p.deeper(op.at); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	exponent, err := p.signed()
	if err != nil {
		return nil, err
	}
	if base.truth || exponent.truth {
		return nil, syntax(op.at, "a condition has no power", "write Piecewise((1, condition), (0, True))")
	}
	return p.new(part{op: isPower, args: []*part{base, exponent}, at: op.at})
}

func (p *parser) atom() (*part, error) {
	t := p.peek()
	switch {
	case t.kind == aNumber:
		p.next++
		return p.literal(t)
	case t.kind == aName:
		p.next++
		if _, ok := p.take("("); ok {
			return p.call(t)
		}
		return p.name(t)
	}
	if _, ok := p.take("("); !ok {
		return nil, p.unexpected(t)
	}
	n, err := p.any()
	if err != nil {
		return nil, err
	}
	return n, p.want(")")
}

func (p *parser) literal(t token) (*part, error) {
	digits := strings.ReplaceAll(t.text, "_", "")
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return nil, syntax(t.at, fmt.Sprintf("%s is larger than any number here", t), "write a smaller number")
	}
	if whole := !strings.ContainsAny(digits, ".eE"); whole && digits[0] == '0' && strings.Trim(digits, "0") != "" {
		return nil, syntax(t.at, fmt.Sprintf("%s has zeros in front, which Python does not take", t), "remove them")
	}
	return p.new(part{op: isNumber, text: strconv.FormatFloat(f, 'e', -1, 64), at: t.at})
}

// name reads a symbol or a constant.
func (p *parser) name(t token) (*part, error) {
	switch t.text {
	case "True", "False", "true", "false":
		return p.new(part{op: isConstant, text: strings.ToLower(t.text), truth: true, at: t.at})
	}
	if slices.Contains(p.symbols, t.text) {
		p.used[t.text] = true
		return p.new(part{op: isSymbol, text: t.text, at: t.at})
	}
	if c, ok := constants()[t.text]; ok {
		return p.new(part{op: isConstant, text: c, at: t.at})
	}
	known := strings.Join(append(slices.Clone(p.symbols), "pi", "E"), ", ")
	if _, ok := p.functions[t.text]; ok || t.text == "Piecewise" {
		return nil, syntax(t.at, fmt.Sprintf("%s is a function without its arguments", t), "write "+t.text+"(…)")
	}
	switch t.text {
	case "and", "or", "not", "if", "else", "lambda":
		return nil, p.unexpected(t)
	case "I", "oo", "zoo", "nan":
		return nil, syntax(t.at, fmt.Sprintf("%s is no real number", t), "only real, finite numbers can be computed with")
	}
	return nil, syntax(t.at, fmt.Sprintf("%s is no symbol of this formula", t), "its symbols are "+known)
}

// call reads the arguments of a function, whose ( has been read.
func (p *parser) call(t token) (*part, error) {
	if t.text == "Piecewise" {
		return p.piecewise(t)
	}
	f, ok := p.functions[t.text]
	if !ok {
		if slices.Contains(p.symbols, t.text) {
			return nil, syntax(t.at, fmt.Sprintf("%s is a symbol and no function", t), "write * to multiply")
		}
		if t.text == "not" || t.text == "and" || t.text == "or" || t.text == "lambda" {
			return nil, p.unexpected(t)
		}
		return nil, syntax(t.at, fmt.Sprintf("there is no function %s", t), "there are "+strings.Join(slices.Sorted(maps.Keys(p.functions)), ", ")+" and Piecewise")
	}
	operand := p.number
	if f.truths {
		operand = p.condition
	}
	n := part{op: isCall, text: t.text, call: f, truth: f.truth, at: t.at}
	for {
		if _, ok := p.take(")"); ok {
			break
		}
		arg, err := operand()
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, arg)
		if _, ok := p.take(","); ok {
			continue
		}
		if err := p.want(")"); err != nil {
			return nil, err
		}
		break
	}
	if len(n.args) < f.least || f.most >= 0 && len(n.args) > f.most {
		return nil, syntax(t.at, fmt.Sprintf("%s has %d arguments", t, len(n.args)), "it takes "+f.takes())
	}
	return p.new(n)
}

// piecewise reads (value, condition), (value, condition), …).
func (p *parser) piecewise(t token) (*part, error) {
	n := part{op: isPiecewise, at: t.at}
	for {
		if _, ok := p.take(")"); ok {
			break
		}
		if err := p.pair(&n); err != nil {
			return nil, err
		}
		if _, ok := p.take(","); ok {
			continue
		}
		if err := p.want(")"); err != nil {
			return nil, err
		}
		break
	}
	if len(n.args) == 0 {
		return nil, syntax(t.at, "Piecewise has no pieces", "write Piecewise((value, condition), (value, True))")
	}
	return p.new(n)
}

func (p *parser) pair(n *part) error {
	// sympy prints pairs as ExprCondPair in some forms.
	if name := p.peek(); name.kind == aName && name.text == "ExprCondPair" {
		p.next++
	}
	if t, ok := p.take("("); !ok {
		return syntax(t.at, fmt.Sprintf("%s where a pair of Piecewise should begin", t), "write Piecewise((value, condition), (value, True))")
	}
	value, err := p.number()
	if err != nil {
		return err
	}
	if err := p.want(","); err != nil {
		return err
	}
	cond, err := p.condition()
	if err != nil {
		return err
	}
	p.take(",")
	n.args = append(n.args, value, cond)
	return p.want(")")
}
