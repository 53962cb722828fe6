package tsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// StageOptions says how to stage. nil: the defaults.
type StageOptions struct {
	// Copy makes copies even where links are possible: for a source whose files are
	// written to again.
	Copy bool

	// Reserve is the number of bytes that must stay free after copies. 0: none.
	Reserve int64
}

// Staged is a folder whose files have the names that the tape should know.
type Staged struct {
	Dir   string
	Files []File // with their paths in Dir; sorted

	Linked, Cloned, Copied int   // how many files by which means
	CopiedBytes            int64 // the space that it takes
}

// Stage makes dest hold each file of the directory src as <prefix>_<file>, in the same
// sub-folders: by hard links where the file system can, else by clones that share
// their blocks, else by copies, for which there must be space before the first is
// made (ErrNoSpace). Links to files are staged as files.
//
// dest may be left from an earlier try: files that should be there are made anew
// unless they are links already. Other files in it are ErrExist. A failure takes away
// what this call has made.
func Stage(ctx context.Context, src, dest, prefix string, o *StageOptions) (s *Staged, err error) {
	if o == nil {
		o = &StageOptions{}
	}
	st := &stager{dest: dest, prefix: prefix, o: *o, out: &Staged{Dir: dest}}
	if prefix == "" || strings.ContainsRune(prefix, '/') {
		return nil, st.failed(dest, ErrInvalid, fmt.Errorf("prefix %q", prefix))
	}
	defer func() {
		if err != nil {
			st.undo()
		}
	}()
	if err := st.list(src); err != nil {
		return nil, err
	}
	if err := st.strangers(); err != nil {
		return nil, err
	}
	rest, err := st.link(ctx)
	if err != nil {
		return nil, err
	}
	if err := st.clone(ctx, rest); err != nil {
		return nil, err
	}
	return st.out, nil
}

// stagedName is a path in the dataset under the name that it has on tape.
func stagedName(rel, prefix string) string {
	dir, base := filepath.Split(rel)
	return dir + prefix + "_" + base
}

type stager struct {
	dest, prefix string
	o            StageOptions
	out          *Staged
	files        []stagedFile
	made         []string // files, and then folders, in the order of making
}

type stagedFile struct {
	from, to string
	info     fs.FileInfo
}

func (*stager) failed(path string, kind, err error) error {
	if kind == nil {
		kind = kindOf(err)
	}
	return &Error{Op: "stage", Path: path, Kind: kind, Err: err}
}

// kindOf gives an error of the file system a kind.
func kindOf(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotExist
	case errors.Is(err, fs.ErrExist):
		return ErrExist
	case errors.Is(err, fs.ErrPermission):
		return ErrPermission
	}
	return ErrFailed
}

func (s *stager) list(src string) error {
	return filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return s.failed(p, nil, err)
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(p)
		if err != nil {
			return s.failed(p, nil, err)
		}
		if !info.Mode().IsRegular() {
			return s.failed(p, ErrInvalid, errors.New("it is not a file"))
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return s.failed(p, nil, err)
		}
		to := filepath.Join(s.dest, stagedName(rel, s.prefix))
		s.files = append(s.files, stagedFile{from: p, to: to, info: info})
		s.out.Files = append(s.out.Files, File{Path: to, Size: info.Size()})
		return nil
	})
}

// strangers looks for files in dest that staging would not make.
func (s *stager) strangers() error {
	want := map[string]bool{}
	for _, f := range s.files {
		want[f.to] = true
	}
	err := filepath.WalkDir(s.dest, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && !want[p] {
			return s.failed(p, ErrExist, errors.New("the staging folder holds something else"))
		}
		return nil
	})
	var known *Error
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.As(err, &known) {
		return known.orNil()
	}
	return s.failed(s.dest, nil, err)
}

func (e *Error) orNil() error {
	if e == nil {
		return nil
	}
	return e
}

// folder makes the folder of a file.
func (s *stager) folder(dir string) error {
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := s.folder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	} else if err == nil {
		s.made = append(s.made, dir)
	}
	return nil
}

// link makes hard links, and gives the files of which none can be made.
func (s *stager) link(ctx context.Context) (rest []stagedFile, err error) {
	if err := s.folder(s.dest); err != nil {
		return nil, s.failed(s.dest, nil, err)
	}
	for _, f := range s.files {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := s.folder(filepath.Dir(f.to)); err != nil {
			return nil, s.failed(f.to, nil, err)
		}
		if old, err := os.Lstat(f.to); err == nil {
			if os.SameFile(old, f.info) && !s.o.Copy {
				s.out.Linked++
				continue
			}
			if err := os.Remove(f.to); err != nil {
				return nil, s.failed(f.to, nil, err)
			}
		}
		// A link to a symbolic link would be one more symbolic link.
		plain, err := os.Lstat(f.from)
		if err != nil {
			return nil, s.failed(f.from, nil, err)
		}
		if s.o.Copy || !plain.Mode().IsRegular() || os.Link(f.from, f.to) != nil {
			rest = append(rest, f)
			continue
		}
		s.made = append(s.made, f.to)
		s.out.Linked++
	}
	return rest, nil
}

// clone makes clones, or copies once it has seen that they have space.
func (s *stager) clone(ctx context.Context, files []stagedFile) error {
	asked := false
	for i, f := range files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.cloneOne(f); err == nil {
			s.out.Cloned++
			continue
		}
		if !asked {
			if err := s.room(files[i:]); err != nil {
				return err
			}
			asked = true
		}
		if err := s.copyOne(ctx, f); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return s.failed(f.from, nil, err)
		}
		s.out.Copied++
		s.out.CopiedBytes += f.info.Size()
	}
	return nil
}

func (s *stager) room(files []stagedFile) error {
	need := s.o.Reserve
	for _, f := range files {
		need += f.info.Size()
	}
	have, err := free(s.dest)
	if err != nil {
		return s.failed(s.dest, nil, err)
	}
	if have < need {
		return &Error{Op: "stage", Path: s.dest, Kind: ErrNoSpace, Err: fmt.Errorf("%d bytes are needed, %d are free", need, have),
			Hint: "make room, or put it on the file system of the data, where links take none"}
	}
	return nil
}

func (s *stager) cloneOne(f stagedFile) error { return s.into(f, reflink) }

func (s *stager) copyOne(ctx context.Context, f stagedFile) error {
	return s.into(f, func(dst, src *os.File) error {
		for {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			// In pieces, so that the end of the context is seen; the kernel copies.
			const piece = 64 << 20
			n, err := io.CopyN(dst, src, piece)
			if n < piece || err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return err
			}
		}
	})
}

// into fills a new file, which has the source's time then, or leaves none.
func (s *stager) into(f stagedFile, fill func(dst, src *os.File) error) error {
	src, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(f.to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(fill(dst, src), dst.Close())
	if err == nil {
		err = os.Chtimes(f.to, f.info.ModTime(), f.info.ModTime())
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.to))
	}
	s.made = append(s.made, f.to)
	return nil
}

// undo takes away what was made, as far as that is possible.
func (s *stager) undo() {
	for i := len(s.made) - 1; i >= 0; i-- {
		_ = os.Remove(s.made[i])
	}
}

// Unstage removes a staging folder: the files named <prefix>_…, then the folders that
// are empty. Anything else is left and is ErrExist. That there is none is no error.
func Unstage(dir, prefix string) error {
	var folders []string
	var strange error
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			folders = append(folders, p)
			return nil
		case prefix == "" || !strings.HasPrefix(d.Name(), prefix+"_"):
			if strange == nil {
				strange = &Error{Op: "unstage", Path: p, Kind: ErrExist, Err: errors.New("it was not staged"), Hint: "see what it is, and remove the folder by hand"}
			}
			return nil
		}
		return os.Remove(p)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &Error{Op: "unstage", Path: dir, Kind: kindOf(err), Err: err}
	}
	if strange != nil {
		return strange
	}
	for i := len(folders) - 1; i >= 0; i-- {
		if err := os.Remove(folders[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &Error{Op: "unstage", Path: folders[i], Kind: kindOf(err), Err: err}
		}
	}
	return nil
}
