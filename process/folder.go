package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Names within the folder of a queue; see the package comment.
const (
	jobsDir        = "jobs"
	submissionsDir = "submissions"
	queueFile      = "queue"
	launchFile     = "launch"
	idsFile        = "ids"
	specFile       = "job.json"
	scriptFile     = "script"
	logFile        = "log"
	startedLink    = "started"
	resultFile     = "result"
	cancelledFile  = "cancelled"
	finalFile      = "final.json"
)

// revoked is where the link "started" points if a job must not start any more.
const revoked = "revoked"

// A spec is what a job was submitted with.
type spec struct {
	Key       Key       `json:"key"`
	Name      string    `json:"name"`
	Submitted time.Time `json:"submitted"`
	Resources Resources `json:"resources"`
	After     []Key     `json:"after,omitempty"`
}

// A traces is what the folder of a job tells about it.
type traces struct {
	spec      *spec // nil: it is not written yet
	id        string
	started   *start
	result    *ended
	cancelled bool
	final     *Status
}

type start struct {
	revoked bool
	node    string
	at      time.Time
}

type ended struct {
	code int
	at   time.Time
}

// writeWhole puts a file under its name in one step, so that nobody reads half of it.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return writeWhole(path, append(b, '\n'))
}

// readJSON reads a file that may not be there: then it returns false.
func readJSON(path string, v any) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// readTraces reads the folder of a job: Dir/submissions/<id>/<task>.
func readTraces(dir string) (traces, error) {
	var t traces
	if _, err := os.Stat(dir); err != nil {
		return t, err
	}
	var final Status
	if ok, err := readJSON(filepath.Join(dir, finalFile), &final); err != nil {
		return t, err
	} else if ok {
		t.final = &final
	}
	var s spec
	if ok, err := readJSON(filepath.Join(dir, specFile), &s); err != nil {
		return t, err
	} else if ok {
		t.spec = &s
	}
	var err error
	if t.started, err = readStart(filepath.Join(dir, startedLink)); err != nil {
		return t, err
	}
	if t.result, err = readResult(filepath.Join(dir, resultFile)); err != nil {
		return t, err
	}
	if _, err := os.Lstat(filepath.Join(dir, cancelledFile)); err == nil {
		t.cancelled = true
	}
	task, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return t, err
	}
	ids, err := readIDs(filepath.Dir(dir))
	if task < len(ids) {
		t.id = ids[task]
	}
	return t, err
}

func readStart(path string) (*start, error) {
	to, err := os.Readlink(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	st, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	s := &start{revoked: to == revoked, at: st.ModTime()}
	if f := strings.Split(to, ":"); len(f) > 1 {
		s.node = f[1]
	}
	return s, nil
}

func readResult(path string) (*ended, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	code, err := parseResult(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &ended{code: code, at: st.ModTime()}, nil
}

// parseResult reads what the launcher wrote: "exit 3".
func parseResult(b []byte) (int, error) {
	f := strings.Fields(string(b))
	if len(f) != 2 || f[0] != "exit" {
		return 0, fmt.Errorf("%.100q is no result", b)
	}
	code, err := strconv.Atoi(f[1])
	if err != nil || code < 0 || code > 255 {
		return 0, fmt.Errorf("%.100q is no exit code", f[1])
	}
	return code, nil
}

// readIDs gives what the batch system calls the tasks of a submission; nil: it is
// not known.
func readIDs(submission string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(submission, idsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte("\n"))), "\n"), err
}

func writeIDs(submission string, ids []string) error {
	return writeWhole(filepath.Join(submission, idsFile), []byte(strings.Join(ids, "\n")+"\n"))
}

// revoke keeps a job that has not started from ever doing so. False: it has
// started. Launcher and revoke both make the same link, and only one of them can.
func revoke(dir string) (bool, error) {
	path := filepath.Join(dir, startedLink)
	err := os.Symlink(revoked, path)
	if errors.Is(err, fs.ErrExist) {
		s, err := readStart(path)
		return err == nil && s != nil && s.revoked, err
	}
	return err == nil, err
}

// ExitCode reads what the job in a folder, Submission.Dir/task, left when it
// ended. False: it has left nothing. It is for batch systems.
func ExitCode(dir string) (code int, ok bool, err error) {
	r, err := readResult(filepath.Join(dir, resultFile))
	if err != nil || r == nil {
		return 0, false, err
	}
	return r.code, true, nil
}
