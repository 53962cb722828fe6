package tsm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// UndoPrefix gives the files below dir their own names back: <prefix>_<file> becomes
// <file>. It returns how many were renamed.
//
// known tells the paths of the dataset, relative to dir. With it, a file whose name
// as it stands is one of the dataset's stays, whatever it begins with, and one that
// belongs to the dataset under neither name stays too. nil: any file that has the
// prefix is renamed.
//
// Nothing is replaced (ErrExist). It can be repeated after a failure.
func UndoPrefix(dir, prefix string, known func(rel string) bool) (int, error) {
	renamed := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		own, ok := ownName(rel, prefix, known)
		if !ok {
			return nil
		}
		if err := renameNew(p, filepath.Join(dir, own)); err != nil {
			return err
		}
		renamed++
		return nil
	})
	if err != nil {
		return renamed, &Error{Op: "undo renaming", Path: dir, Kind: kindOf(err), Err: err}
	}
	return renamed, nil
}

// ownName is the name without the prefix. ok is false if the file keeps its name.
func ownName(rel, prefix string, known func(string) bool) (own string, ok bool) {
	folder, base := filepath.Split(rel)
	base, ok = strings.CutPrefix(base, prefix+"_")
	if !ok || prefix == "" || base == "" || base == "." || base == ".." {
		return "", false
	}
	own = folder + base
	if known != nil && (known(rel) || !known(own)) {
		return "", false
	}
	return own, true
}

// renameNew renames without replacing. Where the file system has no hard links, a
// check has to do.
func renameNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		// The first half of an earlier try.
		a, aerr := os.Lstat(from)
		b, berr := os.Lstat(to)
		if aerr == nil && berr == nil && os.SameFile(a, b) {
			return os.Remove(from)
		}
		return err
	}
	if _, serr := os.Lstat(to); serr == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}
