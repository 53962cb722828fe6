package transfer

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/cax-go/cax/checksum"
)

// A Backend gives access to one place: a local disk, or an account on a server.
// Paths are absolute, slash-separated byte strings. Methods are safe for
// concurrent use, wrap errors in [*Error] with a kind, and return within a
// second of the end of their context.
type Backend interface {
	// String names the place for people: "local", "sftp://cax@midway".
	String() string

	// Lstat describes one path without following a link.
	Lstat(ctx context.Context, path string) (Info, error)

	// List yields everything below a directory, parents before children, links
	// not followed; the directory itself is not yielded. Paths are relative to it.
	List(ctx context.Context, dir string) iter.Seq2[Info, error]

	// Open reads a file from an offset. For a link the file it leads to is read.
	Open(ctx context.Context, path string, offset int64) (io.ReadCloser, error)

	// Create makes a file of mode 0644 and its bytes are then written. With
	// offset > 0 the existing file is cut to that length and writing goes on
	// there, which only backends whose writers are [WriterAt] accept; the others
	// return ErrUnsupported. size is the length that the file will have, mtime its
	// modification time if not zero. Close reports what was not written. A write
	// that returned an error may still read its bytes for a moment.
	Create(ctx context.Context, path string, offset, size int64, mtime time.Time) (io.WriteCloser, error)

	// Mkdir makes one directory of mode 0755; its parent must exist. ErrExist if
	// the name is taken.
	Mkdir(ctx context.Context, dir string) error

	// Rename moves a file or directory within a file system. It never replaces
	// anything: ErrExist if the new name is taken.
	Rename(ctx context.Context, from, to string) error

	// Remove deletes a file, or a directory with all below it, links not
	// followed. A missing one is no error.
	Remove(ctx context.Context, path string) error

	// Close ends all connections. Operations under way fail.
	Close() error
}

// An Info describes a path.
type Info struct {
	Path    string // as it was asked for; in a listing, relative to the directory
	Mode    fs.FileMode
	Size    int64
	ModTime time.Time
	Link    string // target, for a symbolic link
}

// A WriterAt is a file opened by [Backend.Create] that can be written at several
// offsets at once. Sync makes what was written so far durable; it returns false
// if the far side cannot. Offsets are those of the file.
type WriterAt interface {
	io.WriterAt
	Sync(ctx context.Context) (durable bool, err error)
}

// A Syncer makes a tree durable: data, names, and the directory entry itself.
// It reports false if the far side cannot.
type Syncer interface {
	Sync(ctx context.Context, path string) (durable bool, err error)
}

// A NameSyncer makes the name of a path durable, after it was made or renamed;
// what the path holds is durable already. It reports false if the far side
// cannot. Without it the Copier uses Syncer.
type NameSyncer interface {
	SyncName(ctx context.Context, path string) (durable bool, err error)
}

// A SizedOpener opens a file whose size, from a listing, is known, so that no
// request is made for what is beyond. The reader ends where the file ends, whatever
// its size is by now.
type SizedOpener interface {
	OpenSized(ctx context.Context, path string, offset, size int64) (io.ReadCloser, error)
}

// A Spacer tells how many bytes a user may still write to the file system of a path.
type Spacer interface {
	Free(ctx context.Context, path string) (int64, error)
}

// A Hasher reads files at the far side and returns their sums there, without the
// bytes crossing the network. It returns ErrUnsupported if the far side has no
// tool for the algorithm. paths are absolute; the result has the same order.
type Hasher interface {
	Hash(ctx context.Context, a checksum.Algorithm, paths []string) ([]checksum.Sum, error)
}

// A Cloner copies a file to a new inode at the far side, by reference where the
// file system can.
type Cloner interface {
	Clone(ctx context.Context, from, to string) error
}

// A Disk is a backend whose paths are those of this machine. What is staged there
// is hashed again when a copy goes on, and programs can be given its paths.
type Disk interface {
	LocalPath(path string) string
}

// A TreeCopier moves a whole dataset between a local path and a path at its own
// place, by a program of its own; files that are there and unchanged are not
// sent again. The Copier uses it instead of Open and Create, and verifies after.
type TreeCopier interface {
	// Send copies the local dataset to the path at the place; single tells that
	// it is one file and not a directory. It has been compared with the manifest.
	Send(ctx context.Context, local, remote string, single bool, t *Tree) error
	// Fetch copies the place's dataset to a local path.
	Fetch(ctx context.Context, remote, local string, single bool, t *Tree) error
}

// Tree carries what is known of the dataset, the limits and the progress of one
// [TreeCopier] call. The functions may be nil, and are called from any goroutine.
type Tree struct {
	Manifest       *checksum.Manifest // what the dataset is; nil: not known
	BytesPerSecond int64              // 0: no limit
	Stall          time.Duration      // 0: none
	Progress       func(n int64)      // bytes moved since the last call; 0: still at it
	Skipped        func(n int64)      // bytes that were there already
	File           func(path string)  // a file is finished
}

// A RoundTripper measures how long one request to its place takes.
type RoundTripper interface {
	RoundTrip(ctx context.Context) (time.Duration, error)
}
