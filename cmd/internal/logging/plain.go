package logging

import (
	"fmt"
	"strings"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// A plainEncoder makes lines that are a sentence with a time in front and what else is
// known behind it, but for what the whole file is about. Of zapcore.Encoder it only has
// what runCore uses.
type plainEncoder struct {
	zapcore.Encoder
	pool buffer.Pool
}

func newPlainEncoder() *plainEncoder { return &plainEncoder{pool: buffer.NewPool()} }

// known are the keys that every line of a run's file would have.
var known = [...]string{"run", "name", "detector"}

func (p *plainEncoder) EncodeEntry(e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	b := p.pool.Get()
	fmt.Fprintf(b, "%s %s: %s", e.Time.UTC().Format("2006-01-02 15:04:05"), e.Level.CapitalString(), strings.ReplaceAll(e.Message, "\n", " "))
	for i := range fields {
		for _, f := range pairsOf(&fields[i]) {
			if f.key != known[0] && f.key != known[1] && f.key != known[2] {
				fmt.Fprintf(b, " %s=%s", word(f.key), word(f.value))
			}
		}
	}
	b.AppendByte('\n')
	return b, nil
}
