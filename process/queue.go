package process

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Queue submits jobs to a batch system and says what has become of them. It
// keeps a folder for each job, which has to be the same folder on this machine
// and where the jobs run. Several processes, on several machines, may use one
// folder at the same time. A Queue is safe for concurrent use.
type Queue struct {
	dir   string
	id    string
	batch Batch
	o     QueueOptions
}

// QueueOptions change how a queue works. nil is the same as the zero value.
type QueueOptions struct {
	MaxArray int              // most tasks in one submission; 1: no arrays; 0: 1000, one less than Slurm's default of MaxArraySize
	AtOnce   int              // most tasks of one submission that run at a time; 0: any number
	Pace     time.Duration    // wait between two submissions; 0: none
	Settle   time.Duration    // after which a submission that got no answer, and is not in the list, is given up; 0: 2 minutes
	Now      func() time.Time // nil: time.Now
}

// OpenQueue opens the queue in a folder, an absolute path, and makes the folder if
// it is not there.
func OpenQueue(dir string, b Batch, o *QueueOptions) (*Queue, error) {
	bad := func(err error) (*Queue, error) { return nil, &Error{Op: "open queue", What: dir, Err: err} }
	q := &Queue{dir: filepath.Clean(dir), batch: b}
	if o != nil {
		q.o = *o
	}
	if q.o.MaxArray == 0 {
		q.o.MaxArray = 1000
	}
	if q.o.Settle == 0 {
		q.o.Settle = 2 * time.Minute
	}
	if q.o.Now == nil {
		q.o.Now = time.Now
	}
	if !filepath.IsAbs(dir) || strings.ContainsFunc(dir, func(c rune) bool { return c < ' ' || c == '\\' }) {
		return nil, &Error{Op: "open queue", What: fmt.Sprintf("%q", dir), Kind: ErrInvalid,
			Err: errors.New("not an absolute path without backslashes and control characters, which Slurm cannot take")}
	}
	for _, d := range []string{jobsDir, submissionsDir} {
		if err := os.MkdirAll(filepath.Join(q.dir, d), 0o755); err != nil {
			return bad(err)
		}
	}
	var err error
	if q.id, err = identity(filepath.Join(q.dir, queueFile)); err != nil {
		return bad(err)
	}
	return q, nil
}

// identity reads the random name of a queue, or gives it one. Of several that do
// so at once, one wins.
func identity(path string) (string, error) {
	for range 2 {
		b, err := os.ReadFile(path)
		if id := strings.TrimSpace(string(b)); err == nil {
			if raw, err := hex.DecodeString(id); err != nil || len(raw) != 8 {
				return "", fmt.Errorf("%s does not hold the name of a queue: %.100q", path, b)
			}
			return id, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		tmp := path + "." + randomHex(8)
		err = os.WriteFile(tmp, []byte(randomHex(8)+"\n"), 0o644)
		if err == nil {
			err = os.Link(tmp, path)
		}
		os.Remove(tmp)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s comes and goes", path)
}

// Dir is the folder of a job. It is there from the submission until [Queue.Forget].
func (q *Queue) Dir(k Key) (string, error) {
	if err := k.Valid(); err != nil {
		return "", err
	}
	to, err := os.Readlink(q.link(k))
	if errors.Is(err, fs.ErrNotExist) {
		return "", &Error{Op: "find", What: "job " + string(k), Kind: ErrNotExist}
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(q.dir, jobsDir, to), nil
}

func (q *Queue) link(k Key) string               { return filepath.Join(q.dir, jobsDir, string(k)) }
func (q *Queue) submission(id string) string     { return filepath.Join(q.dir, submissionsDir, id) }
func taskDir(submission string, task int) string { return filepath.Join(submission, fmt.Sprint(task)) }

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // does not fail
	return hex.EncodeToString(b)
}
