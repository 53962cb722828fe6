package slurm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cax-go/cax/process"
)

// squeueFormat: comment, job id of the array, number in the array, state, nodes,
// reason. What is ours comes first, so that no other job's text can stand in its
// way, and the only free text last. Without widths squeue cuts nothing off.
const squeueFormat = "%k|%F|%K|%T|%N|%r"

// sacctFormat: as squeueFormat, as far as sacct knows it.
const sacctFormat = "JobID,State,ExitCode,NodeList"

// parseSbatch reads the answer to --parsable: an id, and after a semicolon the
// cluster. Before it, sites may have lines of their own.
func parseSbatch(out string) (string, error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	id, _, _ := strings.Cut(strings.TrimSpace(lines[len(lines)-1]), ";")
	if !number(id) {
		return "", fmt.Errorf("sbatch does not give a job id: %.200q", out)
	}
	return id, nil
}

func number(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// parseSqueue reads lines of squeueFormat and keeps the jobs of one queue. A line
// that begins as one of ours and does not go on so is an error: then nothing is
// known.
func parseSqueue(out, queue string) ([]process.Entry, error) {
	var all []process.Entry
	for line := range strings.Lines(out) {
		rest, ours := strings.CutPrefix(strings.TrimRight(line, "\n"), comment(queue, ""))
		if !ours {
			continue
		}
		f := strings.SplitN(rest, "|", 6)
		if len(f) != 6 || !number(f[1]) {
			return nil, fmt.Errorf("squeue says %.200q", line)
		}
		e := process.Entry{Submission: f[0], ID: f[1], State: stateOf(f[3]), ExitCode: -1, Node: f[4], Reason: strings.TrimSpace(f[5])}
		if number(f[2]) {
			n, err := strconv.Atoi(f[2])
			if err != nil {
				return nil, fmt.Errorf("squeue says %.200q: %w", line, err)
			}
			e.Task, e.ID = n, e.ID+"_"+f[2]
		} else if f[2] != "N/A" {
			return nil, fmt.Errorf("squeue gives %.200q for a number in an array", f[2])
		}
		if e.Reason == "None" {
			e.Reason = ""
		}
		all = append(all, e)
	}
	return all, nil
}

// parseSacct reads lines of sacctFormat.
func parseSacct(out string) ([]process.Entry, error) {
	var all []process.Entry
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimRight(line, "\n"), "|")
		if len(f) != 4 {
			return nil, fmt.Errorf("sacct says %.200q", line)
		}
		state, _, _ := strings.Cut(f[1], " ") // "CANCELLED by 1000"
		code, err := exitCode(f[2])
		if err != nil {
			return nil, fmt.Errorf("sacct says %.200q: %w", line, err)
		}
		node := f[3]
		if node == "None assigned" {
			node = ""
		}
		all = append(all, process.Entry{ID: f[0], State: stateOf(state), ExitCode: code, Node: node})
	}
	return all, nil
}

// exitCode reads "exit code:signal", as a shell would give it.
func exitCode(s string) (int, error) {
	a, b, ok := strings.Cut(s, ":")
	code, err1 := strconv.Atoi(a)
	signal, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil {
		return 0, errors.New("no exit code")
	}
	if signal > 0 {
		return 128 + signal, nil
	}
	return code, nil
}

// stateOf reads Slurm's long words for states (job_state_string in its source,
// "JOB STATE CODES" in squeue(1)). A word that it does not know is StateRunning:
// then nothing is done a second time.
func stateOf(word string) process.State {
	switch word {
	case "PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT":
		return process.StatePending
	case "COMPLETED":
		return process.StateSucceeded
	case "FAILED":
		return process.StateFailed
	case "CANCELLED":
		return process.StateCancelled
	case "TIMEOUT", "DEADLINE":
		return process.StateTimeout
	case "OUT_OF_MEMORY":
		return process.StateMemory
	case "NODE_FAIL", "BOOT_FAIL", "PREEMPTED":
		return process.StateNodeLost
	}
	return process.StateRunning
}
