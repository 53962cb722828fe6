package tsm

import (
	"context"
	"fmt"
	"path/filepath"
)

// A File is what should be on tape.
type File struct {
	Path string // absolute, bytes
	Size int64
}

// Archive makes an archive copy of files. The description tells the copies of this
// run from all others of the same paths: letters, digits and ._:@+=/-, best with a
// random part; "" leaves dsmc's own. Directories among the paths are archived as such,
// without what is in them.
//
// No error means that dsmc says so: ask [Client.QueryArchive] and [Uncovered] before
// you believe it. After an error the copies that were made stay.
func (c *Client) Archive(ctx context.Context, paths []string, description string, p Progress) (*Result, error) {
	const op = "archive"
	if err := checkDescription(op, description); err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, &Error{Op: op, Kind: ErrInvalid, Err: fmt.Errorf("no files")}
	}
	cmd := command{op: op, words: []string{op}, files: paths, mode: modeRun}
	if description != "" {
		cmd.options = append(cmd.options, "-description="+description)
	}
	return c.run(ctx, cmd, p)
}

// Incremental backs a directory up, all that is in it and changed. It is for servers
// that allow no archive copies: remember that a later run after the directory is gone
// lets its backup expire. The same caution as with Archive applies.
func (c *Client) Incremental(ctx context.Context, dir string, p Progress) (*Result, error) {
	const op = "incremental"
	if err := checkOperand(op, dir); err != nil {
		return nil, err
	}
	// The slash means what is in it.
	cmd := command{op: op, words: []string{op}, operands: []string{filepath.Clean(dir) + "/"}, mode: modeRun}
	return c.run(ctx, cmd, p)
}

// A DifferenceKind says how the tape differs from what it should have.
type DifferenceKind string

// Differences.
const (
	Missing  DifferenceKind = "missing"
	Size     DifferenceKind = "size"
	Inactive DifferenceKind = "inactive" // only a backup version that will expire
)

// A Difference is a file that is not on tape as it should be.
type Difference struct {
	File
	Kind DifferenceKind
	Got  Object // of Size and Inactive
}

// Uncovered compares what should be on tape with the rows of a query. A file counts
// when any row has its path and can have its size; a tape copy of a dataset counts
// when nothing is uncovered. The order is that of want.
func Uncovered(want []File, rows []Object) []Difference {
	byPath := make(map[string][]Object, len(rows))
	for _, o := range rows {
		byPath[o.Path] = append(byPath[o.Path], o)
	}
	var out []Difference
	for _, f := range want {
		d := Difference{File: f, Kind: Missing}
		for _, o := range byPath[f.Path] {
			switch {
			case !o.SizeIs(f.Size):
				if d.Kind == Missing {
					d.Kind, d.Got = Size, o
				}
			case !o.Active:
				d.Kind, d.Got = Inactive, o
			default:
				d.Kind = ""
			}
			if d.Kind == "" {
				break
			}
		}
		if d.Kind != "" {
			out = append(out, d)
		}
	}
	return out
}
