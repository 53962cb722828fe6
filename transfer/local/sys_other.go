//go:build !linux

package local

import (
	"errors"
	"math"
	"os"
)

func renameNoReplace(from, to string) error { return renameChecked(from, to) }

func syncFS(string) error { return errors.ErrUnsupported }

// free is not known here: the disk says so itself when it is full.
func free(string) (int64, error) { return math.MaxInt64, nil }

func reflink(*os.File, *os.File) error { return errors.ErrUnsupported }
