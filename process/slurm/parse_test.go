package slurm

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/google/go-cmp/cmp"
)

const (
	queue = "0123456789abcdef"
	sub1  = "00112233445566778899aabbccddeeff"
	sub2  = "ffeeddccbbaa99887766554433221100"
)

// squeueOutput is what Slurm 22.05 prints for jobs of every kind, with a foreign
// job between whose comment and name have separators and line breaks.
const squeueOutput = `cax:` + queue + `:` + sub1 + `|14|0|PENDING||(ReqNodeNotAvail, UnavailableNodes:n1|n2)
cax:` + queue + `:` + sub1 + `|14|1|RUNNING|n1|None
cax:` + queue + `:` + sub1 + `|14|2|FAILED|n1|NonZeroExitCode
(null)|15|N/A|RUNNING|n1|None
cax:|16|N/A|RUNNING|n1|None
it is | mine
cax:` + queue + `|17|N/A|RUNNING|n1|None
cax:fedcba9876543210:` + sub1 + `|18|N/A|RUNNING|n1|None
cax:` + queue + `:` + sub2 + `|19|N/A|CANCELLED||DependencyNeverSatisfied
`

func TestParseSqueue(t *testing.T) {
	got, err := parseSqueue(squeueOutput, queue)
	if err != nil {
		t.Fatal(err)
	}
	want := []process.Entry{
		{Submission: sub1, Task: 0, ID: "14_0", State: process.StatePending, ExitCode: -1, Reason: "(ReqNodeNotAvail, UnavailableNodes:n1|n2)"},
		{Submission: sub1, Task: 1, ID: "14_1", State: process.StateRunning, ExitCode: -1, Node: "n1"},
		{Submission: sub1, Task: 2, ID: "14_2", State: process.StateFailed, ExitCode: -1, Node: "n1", Reason: "NonZeroExitCode"},
		{Submission: sub2, Task: 0, ID: "19", State: process.StateCancelled, ExitCode: -1, Reason: "DependencyNeverSatisfied"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"|14|0|PENDING|", "|x|0|PENDING||None", "|14|x|PENDING||None", "", "|14|99999999999999999999|PENDING||None"} {
		if got, err := parseSqueue("cax:"+queue+":"+sub1+bad+"\n", queue); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

func FuzzParseSqueue(f *testing.F) {
	f.Add(squeueOutput)
	f.Fuzz(func(t *testing.T, out string) {
		entries, err := parseSqueue(out, queue)
		if err != nil {
			return
		}
		if n := strings.Count("\n"+out, "\ncax:"+queue+":"); len(entries) != n {
			t.Errorf("%d entries of %d lines", len(entries), n)
		}
	})
}

func TestParseSacct(t *testing.T) {
	got, err := parseSacct("14_0|COMPLETED|0:0|n1\n15|CANCELLED by 1000|0:15|n1\n16|FAILED|3:0|n1\n17|NODE_FAIL|1:0|None assigned\n18|OUT_OF_MEMORY|0:125|n[1-2]\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []process.Entry{
		{ID: "14_0", State: process.StateSucceeded, ExitCode: 0, Node: "n1"},
		{ID: "15", State: process.StateCancelled, ExitCode: 143, Node: "n1"},
		{ID: "16", State: process.StateFailed, ExitCode: 3, Node: "n1"},
		{ID: "17", State: process.StateNodeLost, ExitCode: 1},
		{ID: "18", State: process.StateMemory, ExitCode: 253, Node: "n[1-2]"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"14|COMPLETED|0:0\n", "14|COMPLETED|0|n\n", "14|COMPLETED|x:0|n\n", "\n"} {
		if got, err := parseSacct(bad); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

func TestParseSbatch(t *testing.T) {
	for out, want := range map[string]string{"14\n": "14", "14;one\n": "14", "Welcome!\n\n14;one\n": "14"} {
		if got, err := parseSbatch(out); err != nil || got != want {
			t.Errorf("%q: %q, %v", out, got, err)
		}
	}
	for _, out := range []string{"", "\n", "Submitted batch job 14\n", "14 15\n", ";one\n"} {
		if got, err := parseSbatch(out); err == nil {
			t.Errorf("%q gives %q", out, got)
		}
	}
}

// TestStateOf: every word of Slurm 22.05 and later has a meaning; an unknown one
// is never taken for an end.
func TestStateOf(t *testing.T) {
	for want, words := range map[process.State]string{
		process.StatePending:   "PENDING REQUEUED REQUEUE_HOLD REQUEUE_FED RESV_DEL_HOLD SPECIAL_EXIT",
		process.StateRunning:   "RUNNING CONFIGURING COMPLETING SUSPENDED STOPPED SIGNALING STAGE_OUT RESIZING POWER_UP_NODE WHAT",
		process.StateSucceeded: "COMPLETED",
		process.StateFailed:    "FAILED",
		process.StateCancelled: "CANCELLED",
		process.StateTimeout:   "TIMEOUT DEADLINE",
		process.StateMemory:    "OUT_OF_MEMORY",
		process.StateNodeLost:  "NODE_FAIL BOOT_FAIL PREEMPTED",
	} {
		for w := range strings.FieldsSeq(words) {
			if got := stateOf(w); got != want {
				t.Errorf("%s is %q, want %q", w, got, want)
			}
		}
	}
}

func TestSbatchArgs(t *testing.T) {
	fixed := []string{"--open-mode=append", "--chdir=/", "--export=ALL", "--no-requeue", "--kill-on-invalid-dep=yes", "--nodes=1", "--ntasks=1"}
	for _, tc := range []struct {
		name string
		s    process.Submission
		want []string // without the fixed ones
	}{
		{"one", process.Submission{Dir: "/q/s", Launcher: "/q/s/launch", Tasks: 1, Name: "raw_5000_v6.8.0"},
			[]string{"--parsable", "--clusters=a", "--comment=cax:" + queue + ":" + sub1, "--job-name=raw_5000_v6.8.0", "--cpus-per-task=1", "--output=/q/s/0/log", "/q/s/launch", "0"}},
		{"array", process.Submission{Dir: "/100%J/s", Launcher: "l", Tasks: 50, AtOnce: 8, Name: "a b\n|é"},
			[]string{"--parsable", "--clusters=a", "--comment=cax:" + queue + ":" + sub1, "--job-name=a_b_|_", "--cpus-per-task=1", "--array=0-49%8", "--output=/100%%J/s/%a/log", "l"}},
		{"everything", process.Submission{Dir: "/d", Launcher: "l", Tasks: 1, After: []string{"1", "2_3"}, Resources: process.Resources{CPUs: 4, MemoryPerCPU: 2000<<20 + 1,
			Walltime: 48*time.Hour + time.Second, Partition: "p", QOS: "q", Account: "pi-lgrandi", Reservation: "r", Extra: []string{"--constraint=a&b"}}},
			[]string{"--parsable", "--clusters=a", "--constraint=a&b", "--comment=cax:" + queue + ":" + sub1, "--job-name=cax", "--cpus-per-task=4", "--output=/d/0/log",
				"--mem-per-cpu=2001M", "--time=2881", "--partition=p", "--qos=q", "--account=pi-lgrandi", "--reservation=r", "--dependency=afterok:1:2_3", "l", "0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.s.ID, tc.s.Queue = sub1, queue
			got, err := sbatchArgs(tc.s, []string{"--clusters=a"})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range fixed {
				if !slices.Contains(got, f) {
					t.Errorf("%s is missing", f)
				}
			}
			got = slices.DeleteFunc(got, func(a string) bool { return slices.Contains(fixed, a) })
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := sbatchArgs(process.Submission{Dir: `/a\b`, Tasks: 1}, nil); err == nil {
		t.Error("a backslash in the folder is taken")
	}
	if n := len(jobName(strings.Repeat("long", 1000))); n != 128 {
		t.Errorf("the name of a job has %d bytes", n)
	}
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"PATH=/bin", "SLURM_JOB_ID=1", "SLURM_ARRAY_TASK_ID=3", "SLURM_CONF=/c", "SBATCH_PARTITION=x", "SQUEUE_USERS=me", "SQUEUE=2", "SACCT_FORMAT=x", "SCANCEL_QOS=a"})
	if diff := cmp.Diff([]string{"PATH=/bin", "SLURM_CONF=/c", "SQUEUE=2"}, got); diff != "" {
		t.Error(diff)
	}
}
