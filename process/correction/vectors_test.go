package correction

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestVectors: formulas have the values that sympy computes, to 1e-12, and none where
// that has none. testdata/make_vectors.py made them.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/formulas.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Formulas []struct {
			Name, Formula string
			Symbols       []string
			Points        [][]float64
			Values        []*float64
		}
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Formulas) < 20 {
		t.Fatalf("%d formulas, want at least 20", len(all.Formulas))
	}
	for _, f := range all.Formulas {
		t.Run(f.Name, func(t *testing.T) {
			formula, err := ParseFormula(f.Formula, f.Symbols...)
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Points) != len(f.Values) || len(f.Points) == 0 {
				t.Fatalf("%d points and %d values", len(f.Points), len(f.Values))
			}
			for i, p := range f.Points {
				at := map[string]float64{}
				for j, s := range f.Symbols {
					at[s] = p[j]
				}
				got, err := formula.Eval(at)
				want := f.Values[i]
				switch {
				case want == nil && err == nil:
					t.Errorf("%v: got %v, sympy has no finite real value", at, got)
				case want == nil:
				case err != nil:
					t.Errorf("%v: %v, want %v", at, err, *want)
				case math.Abs(got-*want) > 1e-12*math.Abs(*want):
					t.Errorf("%v: got %v, want %v, which is off by %.1e", at, got, *want, math.Abs(got-*want)/math.Abs(*want))
				}
			}
		})
	}
}
