package logging

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap/zapcore"
)

// A runCore writes the lines that are about one run, which have its number and name
// as fields, to a file of that run.
type runCore struct {
	zapcore.LevelEnabler
	enc    zapcore.Encoder
	fields []zapcore.Field
	files  *runFiles
}

func (c *runCore) With(fields []zapcore.Field) zapcore.Core {
	with := *c
	with.fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	return &with
}

func (c *runCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *runCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	all := append(c.fields[:len(c.fields):len(c.fields)], fields...)
	number, name, veto := int64(0), "", false
	for i := range all {
		switch f := &all[i]; {
		case f.Key == "run" && f.Type == zapcore.Int64Type:
			number = f.Integer
		case f.Key == "name" && f.Type == zapcore.StringType:
			name = f.String
		case f.Key == "detector" && f.Type == zapcore.StringType:
			veto = f.String == "muon_veto"
		}
	}
	if veto {
		number = 0
	}
	if name == "" {
		return nil
	}
	buf, err := c.enc.EncodeEntry(e, all)
	if err != nil {
		return err
	}
	defer buf.Free()
	return c.files.write(number, name, buf.Bytes())
}

func (c *runCore) Sync() error { return nil }

// maxOpenRuns is how many files of runs are kept open.
const maxOpenRuns = 64

// runFiles are the log files of runs, opened when their first line comes.
type runFiles struct {
	name func(number int64, name string) string

	mu    sync.Mutex
	paths map[string]string // by number and name
	open  map[string]*os.File
	order []string // of open, the oldest first
}

func (r *runFiles) write(number int64, name string, line []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := fmt.Sprintf("%d %s", number, name)
	f, ok := r.open[key]
	if !ok {
		path, known := r.paths[key]
		if !known {
			path = r.name(number, name)
			r.paths[key] = path
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
		}
		var err error
		if f, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
			return err
		}
		if len(r.order) >= maxOpenRuns {
			old := r.order[0]
			r.order = r.order[1:]
			if err := r.open[old].Close(); err != nil {
				return errors.Join(err, f.Close())
			}
			delete(r.open, old)
		}
		r.open[key], r.order = f, append(r.order, key)
	}
	_, err := f.Write(line)
	return err
}

// Close closes all files.
func (r *runFiles) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, f := range r.open {
		errs = append(errs, f.Close())
	}
	r.open, r.order = map[string]*os.File{}, nil
	return errors.Join(errs...)
}
