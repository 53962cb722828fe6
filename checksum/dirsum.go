package checksum

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// DirSum gives what the Python function checksumdir.dirhash(dir, algorithm) of
// checksumdir 1.3.0 gives, for SHA512, SHA256 and MD5: the hash over the sorted
// hexadecimal digests of all files below dir. Names do not count. Files and
// folders whose names begin with a dot count. Links to files count as the file,
// links that lead nowhere or in a circle as an empty one; links to directories are
// not followed. An empty directory gives the hash of nothing: a sum alone does not
// say that there are data.
//
// Unlike the original it fails on a folder that cannot be listed, instead of
// leaving it out, on a link whose target cannot be looked at, instead of counting
// it as empty, and on a pipe, instead of waiting for it. Errors name the path.
func DirSum(ctx context.Context, dir string, a Algorithm) (Sum, error) {
	if !legacy(a) {
		return Sum{}, fmt.Errorf("%w: directory sums are made with sha512, sha256 or md5, not %s", ErrFormat, a)
	}
	// A dataset directory may be a link itself, as for os.walk.
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Sum{}, err
	}
	if st, err := os.Stat(root); err != nil {
		return Sum{}, err
	} else if !st.IsDir() {
		return Sum{}, &fs.PathError{Op: "hash", Path: dir, Err: syscall.ENOTDIR}
	}
	var paths []string
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		if d.Type()&fs.ModeSymlink != 0 {
			st, err := os.Stat(p)
			switch {
			case broken(err):
				paths = append(paths, "")
				return nil
			case err != nil:
				return err
			case st.IsDir():
				return nil
			}
		}
		paths = append(paths, p)
		return nil
	})
	if err != nil {
		return Sum{}, err
	}
	digests := make([]string, len(paths))
	err = parallel(ctx, len(paths), 0, func(ctx context.Context, i int) error {
		d := NewDigest(a)
		if paths[i] != "" {
			if _, err := read(ctx, paths[i], d, false, nil); err != nil {
				return err
			}
		}
		digests[i] = d.Sum(a).Bare()
		return nil
	})
	if err != nil {
		return Sum{}, err
	}
	return sumOfDigests(a, digests), nil
}

// broken reports whether the error is that of following a link that leads nowhere,
// or in a circle.
func broken(err error) bool {
	for _, e := range []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// legacy reports whether checksumdir knows the algorithm.
func legacy(a Algorithm) bool { return a == SHA512 || a == SHA256 || a == MD5 }

// sumOfDigests is the reduction of dirhash: the hash over the sorted hexadecimal
// digests.
func sumOfDigests(a Algorithm, digests []string) Sum {
	slices.Sort(digests)
	d := NewDigest(a)
	for _, s := range digests {
		d.Write([]byte(s))
	}
	return d.Sum(a)
}
