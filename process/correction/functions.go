package correction

import (
	"fmt"
	"math"
)

// A function is one that formulas may call, by sympy's name.
type function struct {
	least, most int  // arguments; most < 0: any number
	truths      bool // its arguments are conditions
	truth       bool // its value is a condition
	inline      string
	call        func(x []float64) float64
}

func (f function) takes() string {
	switch {
	case f.most < 0:
		return fmt.Sprintf("%d or more", f.least)
	case f.least == f.most:
		return fmt.Sprint(f.least)
	}
	return fmt.Sprintf("%d to %d", f.least, f.most)
}

// constants are numbers with a name, as they stand in what is compiled.
func constants() map[string]string {
	return map[string]string{"pi": fmt.Sprintf("%.17e", math.Pi), "E": fmt.Sprintf("%.17e", math.E)}
}

// functions are all that formulas may call, apart from Piecewise. Those with inline
// become operators. Where sympy would go on with a complex number, the value is no
// number.
func functions() map[string]function {
	one := func(f func(float64) float64) function {
		return function{least: 1, most: 1, call: func(x []float64) float64 { return f(x[0]) }}
	}
	two := func(f func(x, y float64) float64) function {
		return function{least: 2, most: 2, call: func(x []float64) float64 { return f(x[0], x[1]) }}
	}
	fold := func(f func(x, y float64) float64) function {
		return function{least: 1, most: -1, call: func(x []float64) float64 {
			v := x[0]
			for _, y := range x[1:] {
				v = f(v, y)
			}
			return v
		}}
	}
	operator := func(sign string) function { return function{least: 2, most: 2, inline: sign} }
	compare := func(sign string) function { return function{least: 2, most: 2, truth: true, inline: sign} }
	join := func(sign string) function {
		return function{least: 1, most: -1, truths: true, truth: true, inline: sign}
	}
	log := function{least: 1, most: 2, call: func(x []float64) float64 {
		if len(x) == 2 {
			return math.Log(x[0]) / math.Log(x[1])
		}
		return math.Log(x[0])
	}}
	return map[string]function{
		"exp": one(math.Exp), "log": log, "ln": log, "sqrt": one(math.Sqrt),
		"cbrt": one(func(x float64) float64 {
			if x < 0 {
				return math.NaN()
			}
			return math.Cbrt(x)
		}),
		"sin": one(math.Sin), "cos": one(math.Cos), "tan": one(math.Tan),
		"asin": one(math.Asin), "acos": one(math.Acos), "atan": one(math.Atan), "atan2": two(math.Atan2),
		"sinh": one(math.Sinh), "cosh": one(math.Cosh), "tanh": one(math.Tanh),
		"asinh": one(math.Asinh), "acosh": one(math.Acosh), "atanh": one(math.Atanh),
		"erf": one(math.Erf), "erfc": one(math.Erfc),
		"Abs": one(math.Abs), "abs": one(math.Abs), "sign": one(sign),
		"floor": one(math.Floor), "ceiling": one(math.Ceil),
		"Min": fold(math.Min), "min": fold(math.Min), "Max": fold(math.Max), "max": fold(math.Max),
		"Heaviside": {least: 1, most: 2, call: heaviside},
		"Mod":       two(mod), "floordiv": two(func(x, y float64) float64 { return math.Floor(x / y) }),
		"Pow": operator("**"), "pow": operator("**"), "Rational": operator("/"),
		"Eq": compare("=="), "Ne": compare("!="), "Lt": compare("<"), "Le": compare("<="), "Gt": compare(">"), "Ge": compare(">="),
		"And": join("&&"), "Or": join("||"),
		"Not": {least: 1, most: 1, truths: true, truth: true, inline: "!"},
	}
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // 0, or no number
}

// heaviside is 1/2 at 0, as in sympy, or its second argument.
func heaviside(x []float64) float64 {
	switch {
	case x[0] > 0:
		return 1
	case x[0] < 0:
		return 0
	case x[0] != 0:
		return math.NaN()
	case len(x) == 2:
		return x[1]
	}
	return 0.5
}

// mod has the sign of the divisor, as in Python.
func mod(x, y float64) float64 {
	r := math.Mod(x, y)
	if r != 0 && (r < 0) != (y < 0) {
		r += y
	}
	return r
}
