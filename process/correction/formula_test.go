package correction

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// TestFormulaErrors: what cannot be read is told with its column and what to write.
func TestFormulaErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		says []string
	}{
		"nothing":                {"", []string{"column 1", "the end"}},
		"half a sum":             {"t +", []string{"column 4", "the end"}},
		"open parenthesis":       {"((t)", []string{"column 5", `")"`}},
		"one too many":           {"(t))", []string{"column 4", `")"`}},
		"a power of C":           {"t^2", []string{"column 2", "write **"}},
		"no multiplication sign": {"2t", []string{"column 1", "2t", "write numbers"}},
		"two numbers":            {"t 3", []string{"column 3", "write * to multiply"}},
		"unknown symbol":         {"1 + w", []string{"column 5", `"w"`, "pmt, t, pi, E"}},
		"unknown function":       {"log10(t)", []string{"column 1", "log10", "exp"}},
		"symbol called":          {"t(3)", []string{"a symbol and no function"}},
		"function not called":    {"exp + 1", []string{"write exp(…)"}},
		"too many arguments":     {"exp(1, 2)", []string{"2 arguments", "it takes 1"}},
		"too few":                {"atan2(1)", []string{"1 arguments", "it takes 2"}},
		"none":                   {"Min()", []string{"0 arguments", "it takes 1 or more"}},
		"comparison":             {"t < 5", []string{"a condition stands where a number"}},
		"comparison in a sum":    {"1 + (t < 5)", []string{"needs a number"}},
		"comparison, signed":     {"-(t < 5)", []string{"before a condition"}},
		"comparison to a power":  {"(t < 5)**2", []string{"a condition has no power"}},
		"comparison as argument": {"exp(t < 5)", []string{"a condition stands"}},
		"not of a number":        {"Piecewise((1, ~t))", []string{"column 15", "~(a < b)"}},
		"number as condition":    {"Piecewise((1, 1))", []string{"column 15", "a comparison"}},
		"Python's equality":      {"Piecewise((1, t == 5))", []string{"column 17", "Eq(a, b)"}},
		"Python's inequality":    {"Piecewise((1, t != 5))", []string{"Ne(a, b)"}},
		"comparisons in a row":   {"Piecewise((1, 0 < t < 5))", []string{"(a < b) & (b < c)"}},
		"& before <, as in C":    {"Piecewise((1, t < 5 & pmt > 3))", []string{"parentheses"}},
		"Python's and":           {"Piecewise((1, (t < 5) and (pmt > 3)))", []string{"and", "&"}},
		"Python's if":            {"1 if t < 5 else 2", []string{"Piecewise((value"}},
		"no pairs":               {"Piecewise(1, t < 5)", []string{"a pair of Piecewise"}},
		"no pieces":              {"Piecewise()", []string{"no pieces"}},
		"complex":                {"I*t", []string{"no real number"}},
		"infinite":               {"oo", []string{"no real number"}},
		"too large":              {"1e400", []string{"larger than any"}},
		"zeros in front":         {"007", []string{"zeros in front"}},
		"two points":             {"1.2.3", []string{"1.2.3"}},
		"attribute":              {"t.real", []string{"'.' stands in no formula"}},
		"text":                   {`"t"`, []string{`'"' stands`}},
		"list":                   {"[1, 2]", []string{"'[' stands"}},
		"other letters":          {"µ*t", []string{"'µ' stands"}},
		"words of the library":   {"let(1)", []string{"no function"}},
		"call of the system":     {`__import__("os")`, []string{`'"' stands`}},
		"builtin of the library": {"now()", []string{"no function"}},
		"too deep":               {strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000), []string{"inside each other"}},
		"too many signs":         {strings.Repeat("-", 1000) + "1", []string{"inside each other"}},
		"too many powers":        {strings.Repeat("2**", 1000) + "1", []string{"inside each other"}},
		"too many parts":         {strings.Repeat("1+", 150_000) + "1", []string{"parts"}},
		"too long":               {strings.Repeat(" ", 2<<20) + "1", []string{"bytes long"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ParseFormula(tc.text, "pmt", "t")
			if f != nil || !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, %v, want ErrInvalid", f, err)
			}
			var e *Error
			if !errors.As(err, &e) || e.Hint == "" {
				t.Errorf("%v has no next step", err)
			}
			for _, s := range tc.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not say %q", err, s)
				}
			}
		})
	}
}

// TestFormulaEval: what has no value is an error that tells where.
func TestFormulaEval(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"pole":         {"1/(t - 7)", errNumber},
		"overflow":     {"exp(t*1000)", errNumber},
		"complex":      {"sqrt(-t)", errNumber},
		"no condition": {"1 + Piecewise((1, t < 5))", errNoPiece},
		"not reached":  {"Piecewise((3, t > 5), (1/0, True))", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ParseFormula(tc.text, "t", "unused")
			if err != nil {
				t.Fatal(err)
			}
			v, err := f.Eval(map[string]float64{"t": 7})
			if !errors.Is(err, tc.want) || tc.want != nil && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "t = 7")) {
				t.Errorf("%v, %v; want %v at t = 7", v, err, tc.want)
			}
			if _, err := f.Eval(nil); !errors.Is(err, ErrInvalid) {
				t.Errorf("without a value of t: %v", err)
			}
		})
	}
	f, err := ParseFormula("t*0 + 2", "t", "pmt")
	if err != nil {
		t.Fatal(err)
	}
	if !f.Uses("t") || f.Uses("pmt") || f.String() != "t*0 + 2" {
		t.Errorf("%q uses t %v, pmt %v", f, f.Uses("t"), f.Uses("pmt"))
	}
}

// TestLongFormulas: what lists of many pieces, as one a photomultiplier and week, need.
func TestLongFormulas(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want float64
	}{
		"pieces":  {"Piecewise(" + strings.Repeat("(1.25, t < 3), ", 5000) + "(7, True))", 7},
		"sum":     {strings.Repeat("t + ", 8_000) + "1", 40_001},
		"product": {strings.Repeat("1 * ", 8_000) + "t", 5},
		"choice":  {"Max(" + strings.Repeat("1, ", 8_000) + "t)", 5},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ParseFormula(tc.text, "t")
			if err != nil {
				t.Fatal(err)
			}
			if v, err := f.Eval(map[string]float64{"t": 5}); v != tc.want || err != nil {
				t.Errorf("%v, %v; want %v", v, err, tc.want)
			}
		})
	}
}

// FuzzFormula: whatever is read has a finite value or an error; nothing panics.
func FuzzFormula(f *testing.F) {
	for _, s := range []string{"2e6 + 1.5e4*sqrt(pmt + 1)", "Piecewise((1, (t < 5) & ~(pmt > 3) | True), (2//3 % 7, True))",
		"-2**-Min(t, pmt, .5)", "log(t, 2)/Heaviside(t, 0)", "Rational(1, 3)*Mod(t, -7)", "Or(t<1,)", "((", "1e309", "pmt ^ 2"} {
		f.Add(s, 1.476e9, 7.0)
	}
	f.Fuzz(func(t *testing.T, text string, at, pmt float64) {
		formula, err := ParseFormula(text, "pmt", "t")
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Op != "read" || e.Hint == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		v, err := formula.Eval(map[string]float64{"t": at, "pmt": pmt})
		if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Fatalf("%q is %v", text, v)
		}
	})
}
