package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer/transfertest"
)

// changing are the system calls that change a file system, but for open, whose flags
// tell. Not every strace knows all of them.
const changing = "open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat," +
	"truncate,chmod,fchmodat,fchmodat2,chown,lchown,fchownat,utime,utimes,utimensat,futimesat,setxattr,lsetxattr,removexattr"

var writing = regexp.MustCompile(`O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND`)

// touched lists the calls of a trace that changed, or opened for writing, anything
// below the directory.
func touched(trace, dir string) (calls []string) {
	for line := range strings.Lines(trace) {
		if !strings.Contains(line, `"`+dir) || strings.Contains(line, "ENOSYS") {
			continue
		}
		_, call, _ := strings.Cut(line, " ") // the pid
		name, _, _ := strings.Cut(strings.TrimSpace(call), "(")
		if strings.HasPrefix(name, "open") && !writing.MatchString(call) {
			continue
		}
		calls = append(calls, strings.TrimSpace(line))
	}
	return calls
}

// TestDryRunTouchesNothing: C28, R12: no command and no task opens, makes, renames,
// removes or changes anything in a site's directories in a dry run, and the run
// database says the same before and after. The system calls are looked at.
func TestDryRunTouchesNothing(t *testing.T) {
	transfertest.RequireTool(t, "strace", "strace")
	if out, err := exec.Command("strace", "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %v %s", err, out)
	}
	w := newWorld(t, options{method: "local", policy: map[string]any{"min_copies": 1, "min_domains": 1}, site: map[string]map[string]any{
		"a": {"purge": 0, "upload_options": []string{"b"}}}})
	const run, other = "160315_1432", "160315_1500"
	w.register(run, small())
	w.once("a", run)
	w.once("b", run)
	w.register(other, small())
	transfertest.MakeTree(t, w.at("b", "stray"), small())
	flip(t, w.at("b", run)+"/sub/notes.txt")
	transfertest.MakeTree(t, w.at("a", "160315_1600"), small())

	for _, args := range [][]string{
		{"--once", "--host", "a"},
		{"--once", "--host", "b"},
		{"register", "--host", "a", w.at("a", "160315_1600")},
		{"verify", "--host", "b"},
		{"verify", "--host", "a", "--repair-manifest"},
		{"check", "--host", "a"},
		{"rm", "--host", "a", "--name", run},
		{"purge", "--host", "a", "--plan", w.dir + "/plan.json"},
		{"scrub", "--host", "b", "--all"},
		{"reconcile", "--host", "b", "--repair"},
		{"reconcile", "--host", "b", "--adopt"},
		{"stray", "--host", "b", "--delete"},
		{"mv", "--host", "a", "--input", w.at("a", run), "--output", w.at("a", "elsewhere")},
	} {
		t.Run(strings.Join(args[:1], " ")+" "+fmt.Sprint(args[1:]), func(t *testing.T) {
			w.t = t
			before := w.must("db", "export")
			trace := t.TempDir() + "/trace"
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			inner := w.command(ctx, append(args, "--dry-run")...)
			cmd := exec.CommandContext(ctx, "strace", append([]string{"-f", "-qq", "-s", "4096", "-e", "trace=?" + strings.ReplaceAll(changing, ",", ",?"), "-o", trace}, inner.Args...)...)
			cmd.Dir, cmd.Env = inner.Dir, inner.Env
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			_ = cmd.Run() // what it found may be bad: then the exit code says so
			if code := cmd.ProcessState.ExitCode(); code != 0 && code != 1 {
				t.Errorf("ended with %d\n%s", code, out.String())
			}
			text, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), w.config) {
				t.Errorf("the trace does not even show that the configuration was read\n%s", out.String())
			}
			for _, dir := range []string{w.raw("a"), w.raw("b")} {
				for _, call := range touched(string(text), dir) {
					t.Errorf("touched: %s", call)
				}
			}
			if after := w.must("db", "export"); after != before {
				t.Error("the run database changed")
			}
		})
	}
}

// TestTraceSeesChanges: without --dry-run the same look at the system calls does see
// what is done.
func TestTraceSeesChanges(t *testing.T) {
	const trace = `123 openat(AT_FDCWD, "/x/a", O_WRONLY|O_CREAT, 0666) = 3
123 openat(AT_FDCWD, "/x/a", O_RDONLY) = 3
123 renameat2(AT_FDCWD, "/x/a", AT_FDCWD, "/x/b", RENAME_NOREPLACE) = 0
123 mkdirat(AT_FDCWD, "/y/a", 0755) = 0
`
	if got := touched(trace, "/x"); len(got) != 2 {
		t.Errorf("saw %q", got)
	}
}
