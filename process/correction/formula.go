package correction

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// A Formula is a function of some symbols, written as sympy prints it. It is made by
// [ParseFormula] and is safe for concurrent use.
type Formula struct {
	text    string
	symbols []string
	used    map[string]bool
	program *vm.Program
}

// ParseFormula reads a formula in which these symbols may stand. ErrInvalid, with the
// column and what to write instead, if it cannot be read.
//
// The spelling is sympy's, with the precedences of Python: + - * / // % **,
// parentheses, numbers, pi and E; exp, log, sqrt and other functions; Abs, Min, Max,
// Heaviside (1/2 at 0); Piecewise((value, condition), …, (value, True)), in whose
// conditions stand comparisons, Eq, Ne, & | ~, And, Or, Not, True and False. A quotient of
// whole numbers is exact: 1/2 is one half. Nothing else can be called, and evaluating
// visits each part of the formula at most once.
//
// Numbers are real and of double precision. Where sympy would go on with a complex or
// infinite number, there is no value. Where sympy raises its precision because
// terms cancel each other, this does not: formulas in t should subtract a time near
// that of the runs first. Nor does it change a formula before numbers come in, as sympy
// does: x/x has no value at 0, and tan(pi) is not exactly 0.
func ParseFormula(text string, symbols ...string) (*Formula, error) {
	top, used, err := parse(text, symbols)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	write(&b, top)
	env := map[string]any{}
	for _, s := range symbols {
		env[variable(s)] = 0.0
	}
	options := []expr.Option{expr.Env(env), expr.AsFloat64(), expr.DisableAllBuiltins(), expr.MaxNodes(0),
		// Optimizing takes longer than evaluating some hundred times.
		expr.Optimize(false),
		expr.Function("nothing", func(...any) (any, error) { return nil, errNoPiece }, new(func() float64))}
	for name, f := range functions() {
		if f.inline != "" {
			continue
		}
		options = append(options, expr.Function(callable(name), func(args ...any) (any, error) {
			x := make([]float64, len(args))
			for i := range args {
				x[i] = args[i].(float64)
			}
			return f.call(x), nil
		}, new(func(...float64) float64)))
	}
	program, err := expr.Compile(b.String(), options...)
	if err != nil {
		// What was read is what the library takes: this is a defect.
		return nil, &Error{Op: "compile", What: "formula", Kind: ErrInvalid, Err: err}
	}
	return &Formula{text: text, symbols: slices.Clone(symbols), used: used, program: program}, nil
}

// String gives the formula as it was written.
func (f *Formula) String() string { return f.text }

// Uses reports whether a symbol stands in the formula.
func (f *Formula) Uses(symbol string) bool { return f.used[symbol] }

var (
	errNoPiece = errors.New("no condition of a Piecewise holds")
	errNumber  = errors.New("the value is no finite real number")
)

// Eval computes the value for these values of its symbols. ErrInvalid if one is missing,
// if no condition of a Piecewise holds, or if the value is not finite.
func (f *Formula) Eval(values map[string]float64) (float64, error) {
	env := make(map[string]any, len(values))
	for _, s := range f.symbols {
		v, ok := values[s]
		if !ok && f.used[s] {
			return 0, &Error{Op: "evaluate", What: "formula", Kind: ErrInvalid, Err: fmt.Errorf("there is no value of %s", s)}
		}
		env[variable(s)] = v
	}
	out, err := expr.Run(f.program, env)
	v, ok := out.(float64)
	switch {
	case errors.Is(err, errNoPiece):
		err = errNoPiece
	case err == nil && (!ok || math.IsNaN(v) || math.IsInf(v, 0)):
		err = errNumber
	}
	if err != nil {
		var at []string
		for _, s := range slices.Sorted(maps.Keys(f.used)) {
			at = append(at, fmt.Sprintf("%s = %v", s, values[s]))
		}
		if len(at) > 0 {
			err = fmt.Errorf("%w, with %s", err, strings.Join(at, ", "))
		}
		return 0, &Error{Op: "evaluate", What: "formula", Kind: ErrInvalid, Err: err}
	}
	return v, nil
}

// variable and callable keep names of formulas apart from words of the library.
func variable(symbol string) string { return "v_" + symbol }

func callable(name string) string { return "f_" + name }

// write translates a part to the library's language. Every part is in parentheses, so
// that no precedence but the parser's counts; a chain has one pair for all its operands,
// so that long sums do not nest.
func write(b *strings.Builder, n *part) {
	switch n.op {
	case isNumber, isConstant:
		b.WriteString(n.text)
	case isSymbol:
		b.WriteString(variable(n.text))
	case isNegative:
		b.WriteString("(-")
		write(b, n.args[0])
		b.WriteByte(')')
	case isNot:
		b.WriteString("(!")
		write(b, n.args[0])
		b.WriteByte(')')
	case isPower:
		infix(b, n.args, func(int) string { return "**" })
	case isChain, isCompare:
		infix(b, n.args, func(i int) string {
			switch s := n.signs[i]; s {
			case "&", "|":
				return s + s
			default:
				return s
			}
		})
	case isPiecewise:
		b.WriteByte('(')
		for i := 0; i < len(n.args); i += 2 {
			write(b, n.args[i+1])
			b.WriteString(" ? ")
			write(b, n.args[i])
			b.WriteString(" : ")
		}
		b.WriteString("nothing())")
	case isCall:
		f := n.call
		switch {
		case f.inline == "!":
			b.WriteString("(!")
			write(b, n.args[0])
			b.WriteByte(')')
		case f.inline != "":
			infix(b, n.args, func(int) string { return f.inline })
		default:
			b.WriteString(callable(n.text) + "(")
			for i, a := range n.args {
				if i > 0 {
					b.WriteString(", ")
				}
				write(b, a)
			}
			b.WriteByte(')')
		}
	}
}

func infix(b *strings.Builder, args []*part, sign func(i int) string) {
	b.WriteByte('(')
	for i, a := range args {
		if i > 0 {
			b.WriteString(" " + sign(i-1) + " ")
		}
		write(b, a)
	}
	b.WriteByte(')')
}
