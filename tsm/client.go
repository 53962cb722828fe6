package tsm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Defaults of a Client.
const (
	DefaultProgram  = "dsmc"
	DefaultLocale   = "en_US.UTF-8"
	DefaultStall    = time.Hour
	DefaultTapeWait = 24 * time.Hour
)

// A Client runs dsmc. Its zero value runs the dsmc of the PATH with the server of its
// configuration. It is safe for concurrent use; fields are not changed after the
// first call.
type Client struct {
	// Program is a path, or a name that is looked up in the PATH of Env. "": dsmc.
	Program string

	// Env is the environment, as [ReadEnvironment] gives it. nil: that of this process.
	// The locale and DSM_LOG are set over it.
	Env []string

	// Server is the stanza of dsm.sys (-servername). "": the default of dsm.opt.
	Server string

	// OptFile is the options file (-optfile). "": DSM_CONFIG or the program's default.
	OptFile string

	// AsNode is the proxy node (-asnodename). "": none.
	AsNode string

	// Locale is in what dsmc prints, and how it takes the bytes of names. "":
	// DefaultLocale. In a UTF-8 locale, names that are not UTF-8 are left out
	// (ANS4042E); a single-byte locale such as en_US takes any. The same locale is
	// needed for both ways.
	Locale string

	// Stall is how long a run may go without printing, reading or writing anything
	// before it is ended. Where the system does not let us see what it reads and writes,
	// only printing counts, and it prints nothing while it sends one file. 0:
	// DefaultStall.
	Stall time.Duration

	// TapeWait is the same for runs that bring files: they wait, silent, for a drive
	// and a tape. 0: DefaultTapeWait.
	TapeWait time.Duration

	// LogDir is where dsmc writes its own logs (DSM_LOG); it is made, for its owner
	// only. "": a temporary folder, removed after the run.
	LogDir string

	// Logger gets each command and each line that dsmc prints, at level debug. nil:
	// none.
	Logger *zap.Logger
}

// Progress is told what dsmc prints while it runs, from one goroutine.
type Progress interface {
	Object(Transfer)
	Message(Message)
}

// A Result is a run of dsmc that was started, whether or not it went well.
type Result struct {
	Output
	Args []string // without the program
	Exit ExitCode
	Took time.Duration

	// Warnings are messages of a run that went well nevertheless.
	Warnings []Message
}

// Check asks for a session with the server and tells what is at both ends.
func (c *Client) Check(ctx context.Context) (*Result, error) {
	r, err := c.run(ctx, command{op: "query session", words: []string{"query", "session"}, mode: modeSession}, nil)
	if err == nil && r.Session.Server == "" && len(r.Fields) == 0 {
		err = &Error{Op: "query session", Kind: ErrTransient, Err: errors.New("no session was established"), Hint: "run dsmc query session by hand"}
	}
	return r, err
}

// QueryFilespaces lists the file systems of which the server has backups or archive
// copies of this node. None is no error.
func (c *Client) QueryFilespaces(ctx context.Context) ([]Filespace, error) {
	r, err := c.run(ctx, command{op: "query filespace", words: []string{"query", "filespace"}, mode: modeFilespace, formats: true}, nil)
	if errors.Is(err, ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.Filespaces, nil
}

// A Query selects versions on the server.
type Query struct {
	// Path is an absolute path: of a directory, whose files at any depth are meant
	// and not itself, or of a file.
	Path string

	// Description selects archive copies, "" for all. See [Client.Archive].
	Description string

	// Detail asks for volumes too, at the price of slow queries.
	Detail bool
}

// QueryArchive lists archive copies, all copies of each path. None is no error.
func (c *Client) QueryArchive(ctx context.Context, q Query) ([]Object, error) {
	cmd := command{op: "query archive", words: []string{"query", "archive"}, mode: modeArchive, formats: true, description: q.Description}
	if q.Description != "" {
		cmd.options = append(cmd.options, "-description="+descriptionPattern(q.Description))
	}
	return c.query(ctx, q, cmd)
}

// QueryBackup lists backup versions, active and not. None is no error.
func (c *Client) QueryBackup(ctx context.Context, q Query) ([]Object, error) {
	cmd := command{op: "query backup", words: []string{"query", "backup"}, mode: modeBackup, formats: true, options: []string{"-inactive"}}
	return c.query(ctx, q, cmd)
}

func (c *Client) query(ctx context.Context, q Query, cmd command) ([]Object, error) {
	path := filepath.Clean(q.Path)
	if err := checkPath(cmd.op, q.Path); err != nil {
		return nil, err
	}
	cmd.options = append(cmd.options, "-filesonly")
	if q.Detail {
		cmd.options = append(cmd.options, "-detail")
	}
	// A specification with a wildcard as its last component means what is below as
	// well, here with -subdir. A name that holds what dsmc takes for a wildcard or a
	// quote cannot be given: then more is asked for, and sorted out here.
	from := path
	for strings.ContainsAny(from, `*?{}"'`) {
		from = filepath.Dir(from)
	}
	specs := []string{strings.TrimSuffix(from, "/") + "/*"}
	if from == path && path != "/" {
		// The path may be a file.
		specs = append(specs, path)
	}
	var found []Object
	for _, spec := range specs {
		one := cmd
		one.operands = []string{spec}
		r, err := c.run(ctx, one, nil)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, o := range r.Objects {
			if o.Path == path || path == "/" || strings.HasPrefix(o.Path, path+"/") {
				found = append(found, o)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found, nil
}

// checkPath refuses what cannot be a path on tape.
func checkPath(op, path string) error {
	why := ""
	switch {
	case !filepath.IsAbs(path):
		why = "the path is not absolute"
	case strings.ContainsAny(path, "\x00\n\r\x18\x19"):
		why = "dsmc cannot take names with these control characters"
	}
	if why == "" {
		return nil
	}
	return &Error{Op: op, Path: path, Kind: ErrInvalid, Err: errors.New(why)}
}

// plainDescription tells the characters that mean themselves in a description on the
// command line.
func plainDescription(r rune) bool {
	return strings.ContainsRune("._:@+=/-", r) || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

// checkDescription refuses new descriptions that dsmc would take for something else.
func checkDescription(op, d string) error {
	const most = 254
	if strings.ContainsFunc(d, func(r rune) bool { return !plainDescription(r) }) {
		return &Error{Op: op, Kind: ErrInvalid, Err: fmt.Errorf("description %q", d), Hint: "use letters, digits and ._:@+=/-"}
	}
	if len(d) > most {
		return &Error{Op: op, Kind: ErrInvalid, Err: fmt.Errorf("a description of %d characters", len(d)), Hint: fmt.Sprintf("at most %d", most)}
	}
	return nil
}

// descriptionPattern selects a description that somebody else gave: any character
// stands for one that could not be given.
func descriptionPattern(d string) string {
	return strings.Map(func(r rune) rune {
		if plainDescription(r) {
			return r
		}
		return '?'
	}, d)
}

// logDir gives the folder for dsmc's own logs, and what removes it if it is for one
// run.
func (c *Client) logDir() (string, func(), error) {
	if c.LogDir != "" {
		return c.LogDir, func() {}, os.MkdirAll(c.LogDir, 0o700)
	}
	dir, err := os.MkdirTemp("", "dsmc-log-")
	return dir, func() { os.RemoveAll(dir) }, err
}

func (c *Client) logger() *zap.Logger {
	if c.Logger == nil {
		return zap.NewNop()
	}
	return c.Logger
}
