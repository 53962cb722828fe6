#!/usr/bin/env python3
"""Makes formulas.json, the test vectors of package correction.

    python3 -m venv venv && venv/bin/pip install sympy==1.13.3
    venv/bin/python make_vectors.py

It holds formulas, values of their symbols, and what sympy computes, as the original
did: parse_expr(formula).evalf(subs=values), made a float. null stands where that is
no finite real number. It is run by hand; the test needs the JSON file alone.

The formulas are of the kinds that the experiment's corrections have: gains by
photomultiplier and time, drift velocities by the cathode's voltage; and each piece of
the spelling that is accepted, at its edges.
"""

import itertools
import json
import os

import sympy
from sympy.parsing.sympy_parser import parse_expr

T = [1463664000.0, 1476000000.0, 1476000000.5, 1481241600.25, 1486057200.0, 1499999999.999]
PMT = [0, 1, 5, 34, 35, 36, 126, 127, 247, 253]
V = [0.0, 1e-3, 0.5, 3.0, 7.25, 8.0, 11.999999999, 12.0, 12.000000001, 15.0]
X = [-1e3, -7.5, -3.0, -2.0, -1.0, -0.5, -1e-9, 0.0, 1e-9, 0.5, 1.0, 2.0, 2.5, 3.0, 7.0, 20.0, 1234.5]
Y = [-2.0, -1.0, -0.25, 0.0, 0.25, 0.5, 1.0, 3.0]

GAIN = ["pmt", "t", "t0"]
gain_points = [list(p) + [0] for p in itertools.product(PMT, T)]
drift_points = [[v] for v in V]
one = [[x] for x in X]
two = [list(p) for p in itertools.product(X, Y)]

FORMULAS = [
    # gains
    ("constant gain", "2e6", GAIN, gain_points),
    ("linear in time", "2.1e6 - 3.2e-3*(t - 1476000000)", GAIN, gain_points),
    ("by photomultiplier", "2e6 + 1.5e4*sqrt(pmt + 1) - 300*pmt", GAIN, gain_points),
    ("exponential drift", "1.9e6*(1 + 1/20*exp(-(t - 1463664000)/(86400*30)))", GAIN, gain_points),
    ("piecewise in pmt", "Piecewise((1.8e6, pmt < 35), (2.2e6, pmt < 127), (2.05e6, pmt <= 247), (0, True))", GAIN, gain_points),
    ("piecewise in time", "Piecewise((2e6, t < 1476000000), (2e6*(1 - (t - 1476000000)/1e9), (t >= 1476000000) & (t < 1486057200)), (1.98e6, True))", GAIN, gain_points),
    ("piecewise in both", "Piecewise((0, (pmt < 1) | (pmt > 247)), (Piecewise((2.4e6, t < 1481241600), (2.3e6, True)), ~(pmt < 127)), (1.7e6 + pmt, True))", GAIN, gain_points),
    ("switched off", "2e6*Heaviside(1481241600.25 - t)*Heaviside(pmt - 35)", GAIN, gain_points),
    ("with t0", "2e6*exp((t0 - t)/1e10)*(1 + sin(2*pi*(t - t0)/86400/365)/100)", GAIN, gain_points),
    ("one by one", "Piecewise(" + ", ".join("(%r, Eq(pmt, %d))" % (1.5e6 + 1234.5 * i, i) for i in PMT) + ", (2e6, True))", GAIN, gain_points),
    ("clipped", "Min(2.5e6, Max(1.5e6, 1.2e6 + 7e3*pmt))", GAIN, gain_points),
    ("quadratic in time", "2.0e6 + 1.1e-3*(t - 1.476e9) - 4.7e-12*(t - 1.476e9)**2", GAIN, gain_points),
    # drift velocities
    ("power law", "1.27 * (v/12)**(1/5)", ["v"], drift_points),
    ("logarithm", "1.44 + log(v + 1)/10 - ln(2)/7", ["v"], drift_points),
    ("saturating", "1.5*(1 - exp(-v/4)) + 0.01*v**2/(1 + v**2)", ["v"], drift_points),
    ("rational function", "(1 + 2*v + 3*v**2)/(4 + 5*v**3)", ["v"], drift_points),
    ("steps at 12 kV", "1.3*Heaviside(v - 12) + 1.2*Heaviside(12 - v, 0)", ["v"], drift_points),
    # spelling, at its edges
    ("unary minus and powers", "-x**2 + (-x)**2 - 2**-1 + 2**-2**2", ["x"], one),
    ("powers of powers", "2**3**x", ["x"], [[x] for x in X if x <= 3]),
    ("one half is exact", "1/2 + 1/3*x - 3/4*(x/2)", ["x"], one),
    ("whole powers of negative numbers", "x**3 - x**4/7 + x**2", ["x"], one),
    ("no real power", "x**(1/2)", ["x"], one),
    ("pole", "1/(x - 2)", ["x"], one),
    ("logarithm of what is not positive", "log(x)", ["x"], one),
    ("logarithm to a base", "log(Abs(x) + 1, 10) + log(8, 2)", ["x"], one),
    ("no condition holds", "Piecewise((x, x < 0), (x**2, x > 2))", ["x"], one),
    ("joined conditions", "Piecewise((1, (x < -1) & (x > -8) | (x > 3) & (x <= 20)), (2, Or(And(x >= 0, x <= 1), Not(x < 1000))), (3, Ne(x, 2)), (4, True))", ["x"], one),
    ("precedence of conditions", "Piecewise((1, ~(x < 0) & (x < 3) | (x < -2)), (2, True))", ["x"], one),
    ("constants", "pi*x + E - exp(1)*x + cos(pi)", ["x"], one),
    ("trigonometry", "sin(x)*cos(x) + tan(x/7)/3 + atan(x) + atan2(x, 2)", ["x"], [[x] for x in X if abs(x) < 100]),
    ("hyperbolic", "tanh(x) + sinh(x/10)/5 + cosh(x/10) - asinh(x) + erf(x) + erfc(x/2)", ["x"], [[x] for x in X if abs(x) < 100]),
    ("rounding", "floor(x) + 2*ceiling(x) + 3*sign(x) + Abs(x)", ["x"], one),
    ("remainders", "Mod(x, 3) + x % 2 + 7 // 2 - Mod(x, -3)", ["x"], one),
    ("functions of operators", "Pow(Abs(x) + 1, 0.3) + Rational(1, 3)*x + cbrt(Abs(x))", ["x"], one),
    ("more than two", "Max(x, 1, -x) + Min(x, 2, 0.5)", ["x"], one),
    ("spaces and numbers", " ( x\t* 1_000 + .5e1 -2. ) / 1E+2 ", ["x"], one),
    ("Heaviside is one half at 0", "Heaviside(x) + 10*Heaviside(-x)", ["x"], one),
    ("two symbols", "(x - y)/(x + y) + x*y**2 - y/4", ["x", "y"], two),
    ("powers of two symbols", "Abs(x)**y", ["x", "y"], two),
    ("nested", "Piecewise((exp(-Min(x, y)**2), (x < y) & ~(y < 0)), (sqrt(Max(x, y, 0)) + Heaviside(x - y), True))", ["x", "y"], two),
]


def value(formula, symbols, point):
    # As the original: the symbols by name, evalf, float. Some functions of this sympy
    # do not take Python's own numbers.
    subs = {s: sympy.sympify(x) for s, x in zip(symbols, point)}
    try:
        f = float(parse_expr(formula.strip()).evalf(subs=subs))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    # Where terms cancel completely, sympy gives what is left of its last bits, and
    # where it divides by that, the inverse: 0, and a pole.
    if abs(f) < 1e-60:
        return 0.0
    return f if abs(f) < 1e60 else None


def main():
    out = []
    for name, formula, symbols, points in FORMULAS:
        values = [value(formula, symbols, p) for p in points]
        out.append({"name": name, "formula": formula, "symbols": symbols, "points": points, "values": values})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formulas.json")
    with open(path, "w") as f:
        f.write('{"made_with": "sympy %s", "formulas": [\n' % sympy.__version__)
        f.write(",\n".join(json.dumps(x) for x in out))
        f.write("\n]}\n")
    print(len(out), "formulas,", sum(len(x["points"]) for x in out), "points")


if __name__ == "__main__":
    main()
