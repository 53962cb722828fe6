package rucio

import (
	"encoding/json"
	"math"
	"strconv"
)

// A number is a whole one in an answer. Sums made by a database come as 30.0, and
// what has no limit as Infinity, which is [Unlimited] here.
type number int64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if string(b) == `"Infinity"` {
		*n = number(Unlimited)
		return nil
	}
	if i, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*n = number(i)
		return nil
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		return strconv.ErrSyntax
	}
	*n = number(f)
	return nil
}

// orUnknown is -1 for null.
func orUnknown(n *number) int64 {
	if n == nil {
		return -1
	}
	return int64(*n)
}
