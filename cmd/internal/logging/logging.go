package logging

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Options say what is logged, and where to.
type Options struct {
	Program string    // stands for the task in lines that belong to none
	Level   string    // see ParseLevel; "": info
	Format  string    // "text" or "json"; "": text
	Stderr  io.Writer // each entry is one Write
	File    string    // appended to; "": none

	// RunFile names a further file for the lines about one run, which is appended to;
	// it is asked once for each run. Folders are made. The number is 0 for runs of the
	// muon veto, whose numbers repeat. nil: there is none.
	RunFile func(number int64, name string) string

	// RunPlain makes the lines of these files sentences with a time in front, as Python's
	// logging writes them, whatever Format says.
	RunPlain bool
}

// Formats are the known values of Options.Format.
func Formats() []string { return []string{"text", "json"} }

// Open makes a logger. close closes the file.
func Open(o Options) (log *zap.Logger, close func() error, err error) {
	level, err := ParseLevel(o.Level)
	if err != nil {
		return nil, nil, err
	}
	var enc zapcore.Encoder
	switch o.Format {
	case "", "text":
		enc = newLineEncoder(o.Program)
	case "json":
		enc = zapcore.NewJSONEncoder(zapcore.EncoderConfig{
			TimeKey: "time", LevelKey: "level", MessageKey: "event", LineEnding: "\n",
			EncodeTime:     zapcore.TimeEncoderOfLayout(timeLayout),
			EncodeLevel:    zapcore.LowercaseLevelEncoder,
			EncodeDuration: zapcore.SecondsDurationEncoder,
		})
	default:
		return nil, nil, fmt.Errorf("log format %q is not known: text or json", o.Format)
	}
	var core zapcore.Core
	lines := &lineCore{LevelEnabler: level, enc: enc, out: []io.Writer{o.Stderr}}
	core = lines
	var closers []io.Closer
	close = func() error {
		var errs []error
		for _, c := range closers {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	if o.File != "" {
		f, err := os.OpenFile(o.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, nil, fmt.Errorf("log file: %w", err)
		}
		lines.out = append(lines.out, f)
		closers = append(closers, f)
	}
	if o.RunFile != nil {
		runs := &runFiles{name: o.RunFile, paths: map[string]string{}, open: map[string]*os.File{}}
		own := enc
		if o.RunPlain {
			own = newPlainEncoder()
		}
		core = zapcore.NewTee(lines, &runCore{LevelEnabler: level, enc: own, files: runs})
		closers = append(closers, runs)
	}
	return zap.New(core, zap.WithClock(utcClock{zapcore.DefaultClock}), zap.ErrorOutput(zapcore.AddSync(o.Stderr))), close, nil
}

// ParseLevel reads the name of a level: debug, info, warning, error, critical,
// and the other spellings of Python's logging.
func ParseLevel(s string) (zapcore.Level, error) {
	switch strings.ToLower(s) {
	case "debug", "notset":
		return zapcore.DebugLevel, nil
	case "", "info":
		return zapcore.InfoLevel, nil
	case "warning", "warn":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	case "critical", "fatal":
		return zapcore.FatalLevel, nil
	}
	return 0, fmt.Errorf("log level %q is not known: debug, info, warning, error or critical", s)
}
