package logging

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

const timeLayout = "2006-01-02T15:04:05Z07:00"

// utcClock gives times in UTC whatever the machine's zone.
type utcClock struct{ zapcore.Clock }

func (c utcClock) Now() time.Time { return c.Clock.Now().UTC() }

// A lineCore writes each entry as a whole to every writer; one that fails does
// not keep the others from getting it.
type lineCore struct {
	zapcore.LevelEnabler
	enc    zapcore.Encoder
	fields []zapcore.Field
	out    []io.Writer
}

func (c *lineCore) With(fields []zapcore.Field) zapcore.Core {
	with := *c
	with.fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	return &with
}

func (c *lineCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *lineCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	buf, err := c.enc.EncodeEntry(e, append(c.fields[:len(c.fields):len(c.fields)], fields...))
	if err != nil {
		return err
	}
	defer buf.Free()
	var errs []error
	for _, w := range c.out {
		if _, err := w.Write(buf.Bytes()); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *lineCore) Sync() error { return nil }

// A lineEncoder makes lines of text. Of zapcore.Encoder it only has what
// lineCore uses.
type lineEncoder struct {
	zapcore.Encoder
	program string
	pool    buffer.Pool
}

func newLineEncoder(program string) *lineEncoder {
	return &lineEncoder{program: program, pool: buffer.NewPool()}
}

// first are the keys that stand in front, in this order, with the event.
var first = [...]string{"run", "site"}

func (l *lineEncoder) EncodeEntry(e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	task := l.program
	var rest []pair
	front := map[string]string{}
	for i := range fields {
		for _, p := range pairsOf(&fields[i]) {
			switch {
			case p.key == "task":
				task = p.value
			case p.key == first[0] || p.key == first[1]:
				front[p.key] = p.value
			default:
				rest = append(rest, p)
			}
		}
	}
	b := l.pool.Get()
	b.AppendString(e.Time.UTC().Format(timeLayout))
	fmt.Fprintf(b, " %-5s %s", e.Level.CapitalString(), word(task))
	for _, k := range first {
		if v, ok := front[k]; ok {
			fmt.Fprintf(b, " %s=%s", k, word(v))
		}
	}
	fmt.Fprintf(b, " event=%s", word(e.Message))
	for _, p := range rest {
		fmt.Fprintf(b, " %s=%s", word(p.key), word(p.value))
	}
	b.AppendByte('\n')
	return b, nil
}

type pair struct{ key, value string }

// pairsOf gives a field as text; most are one pair.
func pairsOf(f *zapcore.Field) []pair {
	m := zapcore.NewMapObjectEncoder()
	f.AddTo(m)
	v, ok := m.Fields[f.Key]
	if !ok {
		return nil // zap.Skip, and what has no key of its own
	}
	switch t := v.(type) {
	case time.Time:
		if t.IsZero() {
			return nil
		}
		v = t.UTC().Format(timeLayout)
	case time.Duration:
		v = t.String()
	}
	return []pair{{f.Key, fmt.Sprint(v)}}
}

// word is text as it is if it is one plain word, else quoted.
func word(s string) string {
	plain := s != ""
	for _, r := range s {
		if r <= ' ' || r == '"' || r == '=' || r == '\\' || r == utf8.RuneError || !strconv.IsPrint(r) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	return strconv.Quote(strings.TrimRight(s, "\n"))
}
