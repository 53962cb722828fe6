package process_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
)

// script is a processor that is a shell script.
func script(t *testing.T, lines string) process.Execution {
	t.Helper()
	return process.Execution{
		Processor: process.Processor{Name: "test", Type: "processed", Script: "#!/bin/sh\n" + lines + "\n", Output: "{{.Name}}.root"},
		Input:     process.Input{Name: "160315_1432", Dir: t.TempDir()},
		Grace:     100 * time.Millisecond,
	}
}

func TestRun(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines string
		check []string
		kind  error // nil: it succeeds
		code  int
		tail  string
	}{
		{"good", "echo begun; echo product >160315_1432.root; echo done >&2", nil, nil, 0, "begun\ndone\n"},
		{"a directory", "mkdir -p 160315_1432.root/a; echo 1 >160315_1432.root/a/b", nil, nil, 0, ""},
		{"exit code", "echo product >160315_1432.root; echo it hurts; exit 3", nil, process.ErrFailed, 3, "it hurts\n"},
		{"silent", "exit 1", nil, process.ErrFailed, 1, ""},
		{"signal", "kill -SEGV $$", nil, process.ErrFailed, 128 + int(syscall.SIGSEGV), ""},
		{"missing", "echo I am fine", nil, process.ErrOutput, 0, "I am fine\n"},
		{"empty", ": >160315_1432.root", nil, process.ErrOutput, 0, ""},
		{"empty directory", "mkdir -p 160315_1432.root/a; : >160315_1432.root/a/b", nil, process.ErrOutput, 0, ""},
		{"a pipe", "mkfifo 160315_1432.root", nil, process.ErrOutput, 0, ""},
		{"checked", "echo product >160315_1432.root", []string{"grep", "-q", "product", "{{.Dir}}/{{.Name}}.root"}, nil, 0, ""},
		{"rejected", "echo rubbish >160315_1432.root", []string{"grep", "-q", "product", "{{.Dir}}/{{.Name}}.root"}, process.ErrOutput, 0, ""},
		{"no such check", "echo product >160315_1432.root", []string{"no-such-program-here"}, process.ErrNotExist, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := script(t, tc.lines)
			e.Processor.Check = tc.check
			res, err := process.Run(t.Context(), e)
			if !errors.Is(err, tc.kind) || (err == nil) != (tc.kind == nil) {
				t.Fatalf("error %v, want %v", err, tc.kind)
			}
			if res.ExitCode != tc.code || res.Tail != tc.tail {
				t.Errorf("exit code %d, tail %q; want %d, %q", res.ExitCode, res.Tail, tc.code, tc.tail)
			}
			if tc.kind == nil && (res.Path != filepath.Join(e.Input.Dir, "160315_1432.root") || res.Size == 0) || tc.kind != nil && res.Path != "" {
				t.Errorf("the product is %q with %d bytes", res.Path, res.Size)
			}
			if tc.kind == process.ErrFailed && tc.tail != "" && !strings.Contains(err.Error(), strings.TrimSpace(tc.tail)) {
				t.Errorf("the error does not have the end of the log: %v", err)
			}
		})
	}
}

// TestRunCommand: without a shell, every byte of a value reaches the program, and
// Files and Env are there.
func TestRunCommand(t *testing.T) {
	var all []byte
	for c := 1; c < 256; c++ {
		all = append(all, byte(c))
	}
	dir := t.TempDir()
	res, err := process.Run(t.Context(), process.Execution{
		Processor: process.Processor{Name: "test", Output: "out", Env: []string{"RUN={{.Name}}"},
			Command: []string{"/bin/sh", "-c", `printf '%s\n%s\n' "$1" "$RUN" >out; cat run.json >>out`, "sh", "{{.Vars.value}}"}},
		Input: process.Input{Name: "it's", Dir: dir, Vars: map[string]string{"value": string(all)}},
		Files: map[string][]byte{"run.json": []byte("{}\n")},
		Log:   filepath.Join(dir, "its.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(res.Path)
	if want := string(all) + "\nit's\n{}\n"; err != nil || string(got) != want {
		t.Errorf("it got %q, %v; want %q", got, err, want)
	}
	if res.Log != filepath.Join(dir, "its.log") {
		t.Errorf("the log is %s", res.Log)
	}
}

func TestRunInvalid(t *testing.T) {
	stale := script(t, "true")
	if err := os.WriteFile(filepath.Join(stale.Input.Dir, "160315_1432.root"), []byte("of yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := script(t, "true")
	nowhere.Input.Dir += "/nowhere"
	mute := script(t, "true")
	mute.Log = mute.Input.Dir
	outside := script(t, "true")
	outside.Files = map[string][]byte{"../x": nil}
	for name, e := range map[string]process.Execution{"stale product": stale, "no folder": nowhere, "no log": mute, "file outside": outside} {
		res, err := process.Run(t.Context(), e)
		if !errors.Is(err, process.ErrInvalid) || res.ExitCode != -1 {
			t.Errorf("%s: %+v, error %v, want ErrInvalid", name, res, err)
		}
	}
	e := script(t, "")
	e.Processor.Script, e.Processor.Command = "", []string{"no-such-program-here"}
	if _, err := process.Run(t.Context(), e); !errors.Is(err, process.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
}

// TestRunCancel: the whole process group ends, also one that does not want to, and
// nothing is taken for a product.
func TestRunCancel(t *testing.T) {
	e := script(t, `trap '' TERM
echo product >160315_1432.root
sh -c 'trap "" TERM; echo $$ >child; while :; do sleep 0.1; done' &
wait; wait; wait`)
	cause := errors.New("the claim is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	child := filepath.Join(e.Input.Dir, "child")
	go func() {
		for {
			if b, err := os.ReadFile(child); err == nil && strings.HasSuffix(string(b), "\n") || t.Context().Err() != nil {
				cancel(cause)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	res, err := process.Run(ctx, e)
	if !errors.Is(err, cause) || res.Path != "" || res.ExitCode != 128+int(syscall.SIGKILL) {
		t.Errorf("%+v, error %v", res, err)
	}
	gone(t, child)
}

// gone fails if the process whose number is in a file does not end.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d goes on", pid)
}

// TestRunLeavesNothing: what a processor left in the background ends with it.
func TestRunLeavesNothing(t *testing.T) {
	e := script(t, "echo product >160315_1432.root\nsleep 1000 & echo $! >child")
	if _, err := process.Run(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	gone(t, filepath.Join(e.Input.Dir, "child"))
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{100: "one\ntwo\nthree\n", 8: "three\n", 6: "three\n", 3: "ee\n"} {
		if got, err := process.Tail(path, n); err != nil || got != want {
			t.Errorf("%d bytes: %q, %v; want %q", n, got, err, want)
		}
	}
	if _, err := process.Tail(path+"x", 10); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
