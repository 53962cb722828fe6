package tsmtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/tsm"
)

const (
	variable = "CAX_TEST_DSMC" // the folder of the tape
	name     = "dsmc"
)

// A Tape is a server with its library. It is safe for concurrent use, by several
// processes too.
type Tape struct {
	dir string
}

// Settings are how a Tape behaves. The zero value is a large, fast, English one.
type Settings struct {
	Filespaces []string // nil: "/"

	// VolumeFiles and VolumeBytes are what fits a volume. 0: everything fits the first.
	VolumeFiles int
	VolumeBytes int64

	MountDelay time.Duration // for each volume that is read
	FileDelay  time.Duration // for each object

	// Style is how numbers and times look where no option sets it: "en", "de", "sv",
	// "ch". "": en.
	Style string

	// Wrap breaks rows of queries at that column. 0: never.
	Wrap int

	// AsNode is printed as a proxy node.
	AsNode string

	Faults []Fault
}

// A Fault is what goes wrong.
type Fault struct {
	Op    string // "archive", "query archive", "retrieve", …; "": any
	Kind  FaultKind
	After int // objects that go well before
	Times int // how many runs are hit; 0: all
}

// A FaultKind is a way to go wrong.
type FaultKind string

// Ways to go wrong. Where several objects could be hit, it is the one after After.
const (
	NoServer     FaultKind = "no server"     // ANS1017E, exit 12
	NoOptions    FaultKind = "no options"    // ANS0990W, ANS1035S, exit 12
	NoPassword   FaultKind = "no password"   // ANS1051I and a prompt
	NotInstalled FaultKind = "not installed" // exit 127, as a shell's
	NoDirectory  FaultKind = "no directory"  // ANS1076E, exit 12
	NoMatch      FaultKind = "no match"      // ANS1092W, exit 8
	Full         FaultKind = "full"          // ANS1311E in mid-run, exit 12
	NoMedia      FaultKind = "no media"      // ANS1312E in mid-run, exit 12
	Reconnect    FaultKind = "reconnect"     // ANS1809W in mid-run, then all is well, exit 8
	Attribute    FaultKind = "attribute"     // ANS1590W, the object is done, exit 8
	Changing     FaultKind = "changing"      // one object changes all the time, exit 4
	ChangedOnce  FaultKind = "changed once"  // and is sent at the second try, exit 0
	Pending      FaultKind = "pending"       // ANS1330S, until cancel restore
	Asks         FaultKind = "asks"          // a prompt that waits for its input
	Killed       FaultKind = "killed"        // ends without a word in mid-run
	KillsCaller  FaultKind = "kills caller"  // ends who started it, and itself
	Hangs        FaultKind = "hangs"         // in mid-run, for ever
	Loses        FaultKind = "loses"         // says that it sent one object, and did not
	Shortens     FaultKind = "shortens"      // keeps half of one object
	Damages      FaultKind = "damages"       // brings one object with a byte that is not right
	LosesWord    FaultKind = "loses word"    // does everything, then ends as Killed
)

// New makes an empty Tape for a test. The test binary has to call [Main].
func New(t testing.TB) *Tape {
	t.Helper()
	tape, err := Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return tape
}

// Make makes a Tape in a folder, or takes the one that is there. The running binary
// will be the program.
func Make(dir string) (*Tape, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &Tape{dir: dir}
	for _, d := range []string{t.Bin(), t.file("data")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink(self, t.Program()); err != nil && !os.IsExist(err) {
		return nil, err
	}
	return t, os.WriteFile(t.file("dsm.opt"), []byte("SUBDIR YES\n"), 0o644)
}

func (t *Tape) file(n string) string { return filepath.Join(t.dir, n) }

// Bin is the folder to put in the PATH.
func (t *Tape) Bin() string { return t.file("bin") }

// Program is the path of the program.
func (t *Tape) Program() string { return filepath.Join(t.Bin(), name) }

// Variables are what the program needs in its environment, beside the PATH.
func (t *Tape) Variables() []string {
	// A program with the race detector would sleep for a second before it ends.
	return []string{variable + "=" + t.dir, "DSM_CONFIG=" + t.file("dsm.opt"), "GORACE=atexit_sleep_ms=0"}
}

// Env is the environment of this process with PATH and variables added.
func (t *Tape) Env() []string {
	return append(os.Environ(), append(t.Variables(), "PATH="+t.Bin()+":"+os.Getenv("PATH"))...)
}

// Client is one that runs this tape's program.
func (t *Tape) Client() *tsm.Client { return &tsm.Client{Env: t.Env()} }

// Change sets how the tape behaves from now on.
func (t *Tape) Change(f func(*Settings)) error {
	return t.locked(func() error {
		s, err := t.settings()
		if err != nil {
			return err
		}
		f(&s)
		return t.save(s)
	})
}

// Set is Change for a test.
func (t *Tape) Set(tb testing.TB, f func(*Settings)) {
	tb.Helper()
	if err := t.Change(f); err != nil {
		tb.Fatal(err)
	}
}

// Fail sets the faults, in place of those that were.
func (t *Tape) Fail(tb testing.TB, faults ...Fault) {
	tb.Helper()
	t.Set(tb, func(s *Settings) { s.Faults = faults })
}

// Calls are the command lines of all runs so far, without the program's name.
func (t *Tape) Calls(tb testing.TB) [][]string {
	tb.Helper()
	calls, err := readLines[[]string](t.file("calls"))
	if err != nil {
		tb.Fatal(err)
	}
	return calls
}

// CallsOf are those of one operation, such as "retrieve" or "query archive".
func (t *Tape) CallsOf(tb testing.TB, op string) [][]string {
	tb.Helper()
	return slices.DeleteFunc(t.Calls(tb), func(args []string) bool {
		c, _ := parseCommand(args)
		return c.op != op
	})
}

// Mounts are the volumes in the order in which they were mounted.
func (t *Tape) Mounts(tb testing.TB) []string {
	tb.Helper()
	mounts, err := readLines[string](t.file("mounts"))
	if err != nil {
		tb.Fatal(err)
	}
	return mounts
}

// Version is one version of a file on tape.
type Version struct {
	Archive     bool // else a backup
	Path        string
	Size        int64
	Description string
	Active      bool
	Volume      string
}

// Versions are all that is on tape, in the order in which it came.
func (t *Tape) Versions(tb testing.TB) []Version {
	tb.Helper()
	records, err := t.records()
	if err != nil {
		tb.Fatal(err)
	}
	var out []Version
	for _, r := range records {
		if !r.Dir {
			out = append(out, Version{Archive: r.Archive, Path: string(r.Path), Size: r.Size, Description: r.Description, Active: r.Active, Volume: volumeName(r.Volume)})
		}
	}
	return out
}

// Pretend puts a version on tape that has no data, for queries: of any size.
func (t *Tape) Pretend(tb testing.TB, v Version) {
	tb.Helper()
	err := t.locked(func() error {
		r := &record{Archive: v.Archive, Path: []byte(v.Path), Size: v.Size, Description: v.Description, Active: v.Active, Date: time.Now().UTC()}
		if err := t.place(r); err != nil {
			return err
		}
		return t.appendLine("catalogue", r)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Damage changes a byte of the data of each version of a path: what a bad tape does.
func (t *Tape) Damage(tb testing.TB, path string) {
	tb.Helper()
	records, err := t.records()
	if err != nil {
		tb.Fatal(err)
	}
	hit := false
	for _, r := range records {
		if string(r.Path) != path || r.Size == 0 {
			continue
		}
		b, err := os.ReadFile(t.data(r.ID))
		if err != nil {
			tb.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(t.data(r.ID), b, 0o600); err != nil {
			tb.Fatal(err)
		}
		hit = true
	}
	if !hit {
		tb.Fatalf("%q is not on tape", path)
	}
}

func volumeName(n int) string { return fmt.Sprintf("A%05d", n) }
