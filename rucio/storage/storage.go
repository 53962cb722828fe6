package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/ssh"
	"go.uber.org/zap"
)

// A Storage reaches the files of one protocol of one RSE. Files are named by the full
// PFNs that the catalogue uses; one that is not of this host, or not below the prefix,
// is refused with transfer.ErrInvalid. Methods are safe for concurrent use, wrap
// errors in [transfer.Error] with a kind, and return within about a second of the end of
// their context.
type Storage interface {
	// String names the place for people: "davs://se.example:443".
	String() string

	// Stat describes a file. Sums are only those that come without work for the
	// server; see [Hasher].
	Stat(ctx context.Context, pfn string) (Info, error)

	// Get reads a file from an offset, up to its end. ErrUnsupported for offset > 0
	// where the server can only give whole files. The reader ends with ctx.
	Get(ctx context.Context, pfn string, offset int64) (io.ReadCloser, error)

	// Put writes a file of size bytes under exactly this name, with the directories
	// above it, and looks afterwards whether it has that size there. ErrExist if the
	// name is taken, and nothing is replaced; ErrSourceChanged if r has another length.
	// After an error nothing is left under the name, as far as the place could
	// still be reached. r may still be read for a moment then.
	//
	// Where [Renames] says so, a reader can see a file that is not complete: put it
	// under a temporary name, verify it, and rename it.
	Put(ctx context.Context, pfn string, r io.Reader, size int64) error

	// Rename moves a file. ErrExist if the new name is taken: most servers cannot
	// refuse to replace, so the name is looked at before. ErrUnsupported where there
	// is no such thing; see [Renames].
	Rename(ctx context.Context, from, to string) error

	// Remove removes a file. A missing one is no error.
	Remove(ctx context.Context, pfn string) error

	// Close ends idle connections. Operations under way may fail.
	Close() error
}

// An Info describes a file.
type Info struct {
	Size         int64
	Adler32, MD5 string // lower-case hexadecimal; "": not known without asking
}

// A Hasher computes checksums at the far side, or knows them from when the file
// arrived. ErrUnsupported if it does not know the algorithm.
type Hasher interface {
	Hash(ctx context.Context, pfn string, a checksum.Algorithm) (checksum.Sum, error)
}

// A FileGetter fetches a file to a local path that does not exist yet, by a program that
// wants paths. progress is told of bytes as they come; it may be nil.
type FileGetter interface {
	GetFile(ctx context.Context, pfn, local string, progress func(n int64)) error
}

// A FilePutter is Put for a local file, by a program that wants paths.
type FilePutter interface {
	PutFile(ctx context.Context, local, pfn string, progress func(n int64)) error
}

// A Protocol is how an RSE is reached, as its settings in the catalogue say.
type Protocol struct {
	Scheme   string
	Host     string // may be given with a scheme
	Port     int    // 0: the usual one of the scheme
	Prefix   string // directory below which all files are; "": no bound
	Impl     string // the Python class that serves it; "": not known
	Extended map[string]any
}

// An Operation is what a URL is signed for.
type Operation string

// The operations.
const (
	Read   Operation = "read"
	Write  Operation = "write"
	Delete Operation = "delete"
)

// Options says how to log in, and how patient to be. nil: anonymous, with the system's
// authorities and the user's SSH keys.
type Options struct {
	// TLS has the authorities that are trusted and the certificate that we show, as
	// rucio.Config.TLSConfig makes it. nil: the system's, and none.
	TLS *tls.Config

	// Token gives a bearer token for HTTP, and for programs. It is asked before each
	// request, and sent only over TLS to servers that were verified: the door's own host,
	// and those that it redirects to in the same domain. nil: none.
	Token func(ctx context.Context) (string, error)

	// Proxy is the file of an X.509 proxy, or of a certificate with its key, and CADir
	// the directory of trusted authorities, for programs (xrdcp, gfal-copy). "": what
	// they find themselves.
	Proxy, CADir string

	// Sign makes a URL valid for one operation for some time. Where it is set, HTTP
	// storage is an object store with signed URLs.
	Sign func(ctx context.Context, op Operation, url string) (string, error)

	// HTTPProxy says through which proxy an HTTP server is reached. nil: directly.
	HTTPProxy func(*http.Request) (*url.URL, error)

	// SSH has keys and known hosts for SFTP; host, port and user are those of the
	// protocol. nil: those of the user's environment.
	SSH *ssh.Config

	// User is the name by which xrootd servers know us. "": "cax".
	User string

	// Stall is how long an operation may go on without any progress. 0: 2 minutes.
	Stall time.Duration

	Log *zap.Logger // what an operator should see; nil: none
}

// Open returns the storage behind a protocol. It connects to nobody yet.
// ErrUnsupported if there is nothing for its scheme, ErrInvalid if it lacks something.
func Open(ctx context.Context, p Protocol, o *Options) (Storage, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Stall <= 0 {
		opts.Stall = 2 * time.Minute
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.User == "" {
		opts.User = "cax"
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	pl, err := newPlace(p, opts.Stall)
	if err != nil {
		return nil, err
	}
	return protocols()[pl.p.Scheme](pl, &opts)
}

// protocols gives for each scheme how its storage is made.
func protocols() map[string]func(*place, *Options) (Storage, error) {
	return map[string]func(*place, *Options) (Storage, error){
		"file": openFile,
		"http": openDAV, "https": openDAV, "dav": openDAV, "davs": openDAV, "s3": openDAV,
		"root": openRoot, "roots": openRoot, "xroot": openRoot, "xroots": openRoot,
		"sftp": openSFTP, "scp": openSFTP,
		"srm": openGfal, "gsiftp": openGfal,
	}
}

// Schemes are the schemes that Open knows, in the order in which they should be tried
// where an RSE leaves the choice.
func Schemes() []string {
	return []string{"file", "davs", "https", "root", "roots", "xroot", "xroots", "s3", "dav", "http", "sftp", "scp", "srm", "gsiftp"}
}

// Renames tells whether the storage of a protocol can rename, so that an upload goes to a
// temporary name first. Where it cannot, which is so for object stores, a file is seen
// only when it is complete.
func Renames(p Protocol, o *Options) bool {
	signed := o != nil && o.Sign != nil
	switch p.Scheme {
	case "s3":
		return false
	case "http", "https", "dav", "davs":
		return !signed && !strings.Contains(p.Impl, "NoRename")
	default:
		return !strings.Contains(p.Impl, "NoRename")
	}
}

// orEnded prefers the end of the context to the error that it led to.
func orEnded(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	var e *transfer.Error
	if c := context.Cause(ctx); errors.As(c, &e) {
		return c
	}
	return ctx.Err()
}
