package gfal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/transfer"
)

// listing are the arguments that make gfal-ls print what parseListing reads.
func listing(more ...string) []string {
	return append([]string{"-t", limitAsk, "-a", "-l", "--time-style", "full-iso", "--color", "never"}, more...)
}

// Lstat implements [transfer.Backend]. Links are followed.
func (b *Backend) Lstat(ctx context.Context, p string) (transfer.Info, error) {
	u, err := b.url("look at", p)
	if err != nil {
		return transfer.Info{}, err
	}
	out, err := b.ask(ctx, "look at", p, "gfal-ls", listing("-d", u)...)
	if err != nil {
		return transfer.Info{}, err
	}
	infos, err := parseListing(out)
	if err == nil && len(infos) != 1 {
		err = fmt.Errorf("%d entries for one path", len(infos))
	}
	if err != nil {
		return transfer.Info{}, b.unread("look at", p, err)
	}
	infos[0].Path = p
	return infos[0], nil
}

// List implements [transfer.Backend]. Each directory is a run of gfal-ls.
func (b *Backend) List(ctx context.Context, dir string) iter.Seq2[transfer.Info, error] {
	return func(yield func(transfer.Info, error) bool) {
		for todo := []string{""}; len(todo) > 0; {
			at := todo[0]
			todo = todo[1:]
			infos, err := b.ListDir(ctx, path.Join(dir, at))
			if err != nil {
				yield(transfer.Info{}, err)
				return
			}
			for _, i := range infos {
				if i.Path = path.Join(at, i.Path); i.Mode.IsDir() {
					todo = append(todo, i.Path)
				}
				if !yield(i, nil) {
					return
				}
			}
		}
	}
}

// ListDir tells what is directly in a directory.
func (b *Backend) ListDir(ctx context.Context, dir string) ([]transfer.Info, error) {
	u, err := b.url("list", dir)
	if err != nil {
		return nil, err
	}
	out, err := b.ask(ctx, "list", dir, "gfal-ls", listing(u)...)
	if err != nil {
		return nil, err
	}
	infos, err := parseListing(out)
	if err != nil {
		return nil, b.unread("list", dir, err)
	}
	infos = slices.DeleteFunc(infos, func(i transfer.Info) bool { return i.Path == "." || i.Path == ".." })
	for _, i := range infos {
		if strings.Contains(i.Path, "/") {
			return nil, &transfer.Error{Op: "list", Place: b.String(), Path: dir, Kind: transfer.ErrInvalid, Err: errors.New("it is no directory")}
		}
	}
	return infos, nil
}

func (b *Backend) unread(op, p string, err error) error {
	return &transfer.Error{Op: op, Place: b.String(), Path: p, Kind: transfer.ErrUnsupported, Err: fmt.Errorf("gfal-ls: %w", err),
		Hint: "see that gfal2-util is of version 1.8 or newer"}
}

// Such a line ends with a tab, after which there would be further attributes.
const lineEnd = "\t\n"

// parseListing reads what gfal-ls -a -l --time-style full-iso prints in UTC:
//
//	-rw-r--r--   1 0     0             6 2026-11-25 23:41:24.000000 +0000 name<tab>
//
// A name that holds a tab and a newline in this order cannot be told from two lines.
func parseListing(out []byte) ([]transfer.Info, error) {
	line := regexp.MustCompile(`(?s)^([-dlbcfs])[-rwx]{9} +-?\d+ +\d+ +\d+ +(\d+) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}) \+0000 (.+)$`)
	var infos []transfer.Info
	for text := string(out); text != ""; {
		one, rest, ok := strings.Cut(text, lineEnd)
		f := line.FindStringSubmatch(one)
		if !ok || f == nil {
			return nil, fmt.Errorf("cannot read %.100q", one)
		}
		text = rest
		size, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, err
		}
		when, err := time.Parse("2006-01-02 15:04:05", f[3])
		if err != nil {
			return nil, err
		}
		infos = append(infos, transfer.Info{Path: f[4], Mode: modeOf(f[1][0]), Size: size, ModTime: when})
	}
	return infos, nil
}

// modeOf gives the type that a letter stands for. Permissions differ with the
// protocol, and mean nothing.
func modeOf(letter byte) fs.FileMode {
	switch letter {
	case 'd':
		return fs.ModeDir | 0o755
	case 'l':
		return fs.ModeSymlink
	case 'b':
		return fs.ModeDevice
	case 'c':
		return fs.ModeDevice | fs.ModeCharDevice
	case 'f':
		return fs.ModeNamedPipe
	case 's':
		return fs.ModeSocket
	}
	return 0o644
}
