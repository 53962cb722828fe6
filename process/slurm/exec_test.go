package slurm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/slurm"
)

// programs makes stand-ins for Slurm's programs that do what no cluster does on
// demand, and an environment in which they are found first.
func programs(t *testing.T, scripts map[string]string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"PATH=" + dir + ":/usr/bin:/bin"}
}

// TestErrors: exit codes and time limits decide what kind of error it is, never a
// message.
func TestErrors(t *testing.T) {
	s := process.Submission{ID: "00112233445566778899aabbccddeeff", Queue: "0123456789abcdef", Dir: "/d", Launcher: "/d/launch", Tasks: 1}
	for _, tc := range []struct {
		name           string
		script         string
		submit, others error
	}{
		{"exit code", "echo 17; echo Invalid partition >&2; exit 1", process.ErrRefused, process.ErrUnavailable},
		{"says success", "echo success >&2; exit 2", process.ErrRefused, process.ErrUnavailable},
		{"too late", "exec sleep 60", process.ErrUnavailable, process.ErrUnavailable},
		{"no id", "echo 'cax:0123456789abcdef:x'", process.ErrUnavailable, process.ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			env := programs(t, map[string]string{"sbatch": tc.script, "squeue": tc.script, "sacct": tc.script, "scancel": tc.script})
			b := slurm.New(&slurm.Options{Env: env, Timeout: 300 * time.Millisecond, Accounting: true})
			if ids, err := b.Submit(t.Context(), s); !errors.Is(err, tc.submit) {
				t.Errorf("sbatch: %v, %v; want %v", ids, err, tc.submit)
			}
			if e, err := b.Entries(t.Context(), s.Queue); !errors.Is(err, tc.others) {
				t.Errorf("squeue: %v, %v; want %v", e, err, tc.others)
			}
			if e, err := b.Account(t.Context(), []string{"17"}); !errors.Is(err, tc.others) {
				t.Errorf("sacct: %v, %v; want %v", e, err, tc.others)
			}
			if err := b.Cancel(t.Context(), []string{"17"}); tc.name != "no id" && !errors.Is(err, tc.others) {
				t.Errorf("scancel: %v; want %v", err, tc.others)
			}
		})
	}
}

// TestEnded: the context ends a call, and its error comes through.
func TestEnded(t *testing.T) {
	env := programs(t, map[string]string{"squeue": "exec sleep 60"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := slurm.New(&slurm.Options{Env: env}).Entries(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// TestAccounting: what squeue has forgotten is looked up.
func TestAccounting(t *testing.T) {
	env := programs(t, map[string]string{
		"sbatch": "echo 17", "squeue": "", "scancel": "",
		"sacct": "case $* in *--jobs=17*) echo '17|NODE_FAIL|0:0|n1';; esac",
	})
	for _, tc := range []struct {
		accounting bool
		want       process.State
	}{{true, process.StateNodeLost}, {false, process.StateNotStarted}} {
		q, err := process.OpenQueue(t.TempDir(), slurm.New(&slurm.Options{Env: env, Accounting: tc.accounting}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Submit(t.Context(), []process.Job{{Key: "a", Script: "#!/bin/sh\n"}}); err != nil {
			t.Fatal(err)
		}
		all, err := q.Jobs(t.Context(), "a")
		if err != nil || all[0].State != tc.want || all[0].Reason == "" {
			t.Errorf("%+v, %v; want %q", all, err, tc.want)
		}
	}
}
