package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A place is a folder with two sites, a run at A, and a configuration. The
// program runs in it.
type place struct {
	t   *testing.T
	dir string
}

const dataset = "160315_1432"

func newPlace(t *testing.T) *place {
	p := &place{t, t.TempDir()}
	for _, d := range []string{"A/" + dataset, "B"} {
		if err := os.MkdirAll(filepath.Join(p.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.configure("slow.json", map[string]any{"bandwidth": 256 << 10})
	p.configure("fast.json", nil)
	for _, f := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(p.dir, "A", dataset, f), bytes.Repeat([]byte(f), 4<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := p.command("register", "--config", "fast.json", "--host", "A", "--number", "1", "A/"+dataset).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return p
}

// configure writes a configuration in which B has further keys.
func (p *place) configure(file string, more map[string]any) {
	a := map[string]any{"name": "A", "method": "local", "dir_raw": filepath.Join(p.dir, "A"), "upload_options": []string{"B"}}
	b := map[string]any{"name": "B", "method": "local", "dir_raw": filepath.Join(p.dir, "B")}
	for k, v := range more {
		b[k] = v
	}
	text, err := json.Marshal([]any{a, b})
	if err == nil {
		err = os.WriteFile(filepath.Join(p.dir, file), text, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.t.Context(), "cax", args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "CAX_RUNDB=sqlite:runs.db", "CAX_CONFIG=", "MONGODB_PASSWORD=", "MONGO_PASSWORD=")
	return cmd
}

// interrupted starts the program, waits until its log says what, sends the
// signal, and returns exit code and log.
func (p *place) interrupted(what string, s os.Signal, args ...string) (code int, log string) {
	p.t.Helper()
	cmd := p.command(args...)
	pipe, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			cmd.Wait()
			p.t.Fatalf("it ended before it said %q: %v\n%s", what, err, said.String())
		}
		if strings.Contains(line, what) {
			break
		}
	}
	if err := cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.Copy(&said, lines); err != nil {
		p.t.Fatal(err)
	}
	cmd.Wait() // its outcome is the exit code
	return cmd.ProcessState.ExitCode(), said.String()
}

// TestSignals: a daemon that is told to stop stops, and everything else that is
// told so was interrupted.
func TestSignals(t *testing.T) {
	t.Parallel()
	once := []string{"--once", "--config", "slow.json", "--host", "A"}
	for _, tc := range []struct {
		name     string
		signal   os.Signal
		when     string
		args     []string
		want     int
		wantSaid string
	}{
		{"idle daemon, SIGTERM", syscall.SIGTERM, `event="cycle done"`, []string{"--config", "fast.json", "--host", "B"}, 0, "daemon ends"},
		{"idle daemon, SIGINT", syscall.SIGINT, `event="cycle done"`, []string{"--config", "fast.json", "--host", "B"}, 130, "daemon ends"},
		{"daemon at work, SIGTERM", syscall.SIGTERM, "copy begins", once[1:], 0, "interrupted, goes on at the next start"},
		{"--once, SIGTERM", syscall.SIGTERM, "copy begins", once, 130, "interrupted, goes on at the next start"},
		{"--once, SIGINT", syscall.SIGINT, "copy begins", once, 130, "cycle interrupted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			code, said := p.interrupted(tc.when, tc.signal, tc.args...)
			if code != tc.want {
				t.Errorf("exit code %d, want %d\n%s", code, tc.want, said)
			}
			if !strings.Contains(said, tc.wantSaid) {
				t.Errorf("it did not say %q:\n%s", tc.wantSaid, said)
			}
			if _, err := os.Stat(filepath.Join(p.dir, "B", dataset)); err == nil {
				t.Error("something half-done stands under the final name")
			}
			log, err := os.ReadFile(filepath.Join(p.dir, "cax.log"))
			if err != nil || len(log) == 0 {
				t.Errorf("cax.log: %v, %d bytes", err, len(log))
			}
			for line := range strings.Lines(string(log)) { // two lines of one moment may change places
				if !strings.Contains(said, line) {
					t.Errorf("cax.log says what standard error does not: %s", line)
				}
			}

			// The next one goes on and ends it.
			if out, err := p.command("--once", "--config", "fast.json", "--host", "A").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, f := range []string{"a", "b"} {
				got, err := os.ReadFile(filepath.Join(p.dir, "B", dataset, f))
				if err != nil || !bytes.Equal(got, bytes.Repeat([]byte(f), 4<<20)) {
					t.Errorf("%s at B is not that of A (%v)", f, err)
				}
			}
		})
	}
}

// TestHangs: what does not stop when it is told to is left after a few seconds,
// and at once after a second signal.
func TestHangs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		twice  bool
		killed bool
		code   int
	}{
		{"one signal", false, false, 130},
		{"second signal", true, true, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			// Reading standard input cannot be interrupted.
			cmd := p.command("db", "import", "--rundb", "sqlite:2.db", "-")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			errs, err := cmd.StderrPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(errs).ReadString('\n'); err != nil { // "run database made"
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				cmd.Wait() // its outcome is the state
			}()
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for sent := 0; ; {
				if sent == 0 || tc.twice {
					cmd.Process.Signal(syscall.SIGTERM) // fails once it has ended
					sent++
				}
				select {
				case <-ended:
					status := cmd.ProcessState.Sys().(syscall.WaitStatus)
					if status.Signaled() != tc.killed || cmd.ProcessState.ExitCode() != tc.code {
						t.Errorf("it ended as %v, want killed %v, exit code %d", cmd.ProcessState, tc.killed, tc.code)
					}
					return
				case <-tick.C:
				}
			}
		})
	}
}
