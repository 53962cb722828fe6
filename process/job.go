package process

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Key names a job: one that we own, such as a claim id, and never something
// that is read out of a name. It has up to 128 letters, digits, dots, dashes and
// underscores and begins with a letter or a digit. At most one job ever runs under
// a key.
type Key string

// Valid says what is wrong with a key; the error wraps ErrInvalid.
func (k Key) Valid() error {
	ok := len(k) > 0 && len(k) <= 128
	for i, c := range []byte(k) {
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		ok = ok && (alnum || i > 0 && (c == '.' || c == '-' || c == '_'))
	}
	if !ok {
		return &Error{Op: "job", What: fmt.Sprintf("%.200q", string(k)), Kind: ErrInvalid,
			Err: errors.New("a key has 1 to 128 letters, digits, dots, dashes and underscores")}
	}
	return nil
}

// A Job is one run's work for a batch system.
type Job struct {
	Key       Key
	Name      string // what people see in the queue, as "raw_5000_v6.8.0"; any text, never read back
	Script    Script // what runs, with the folder of the job as working directory
	Resources Resources
	After     []Key // jobs that have to succeed before this one starts; if one does not, it never starts
}

// Resources are what a job asks a batch system for. The zero value is one core
// and otherwise what the batch system gives by itself.
type Resources struct {
	CPUs         int           `json:"cpus,omitempty"`           // cores; 0: 1
	MemoryPerCPU int64         `json:"memory_per_cpu,omitempty"` // bytes; Slurm only, rounded up to MiB
	Walltime     time.Duration `json:"walltime,omitempty"`       // after which the job is ended; Slurm rounds up to minutes
	Partition    string        `json:"partition,omitempty"`      // this and the following: Slurm only
	QOS          string        `json:"qos,omitempty"`
	Account      string        `json:"account,omitempty"`
	Reservation  string        `json:"reservation,omitempty"`
	// Extra are further options of sbatch, one a word, as "--constraint=haswell".
	Extra []string `json:"extra,omitempty"`
}

// Valid says what is wrong with the resources; the error wraps ErrInvalid.
func (r Resources) Valid() error {
	bad := func(err error) error { return &Error{Op: "resources", Kind: ErrInvalid, Err: err} }
	if r.CPUs < 0 || r.MemoryPerCPU < 0 || r.Walltime < 0 {
		return bad(errors.New("cores, memory and walltime are not negative"))
	}
	for _, f := range []string{r.Partition, r.QOS, r.Account, r.Reservation} {
		if strings.ContainsFunc(f, func(c rune) bool { return c < ' ' }) {
			return bad(fmt.Errorf("%q has a control character", f))
		}
	}
	for _, e := range r.Extra {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "--") || len(name) < 4 || strings.IndexByte(e, 0) >= 0 {
			return bad(fmt.Errorf("extra option %q: an option is one word, as --name=value", e))
		}
	}
	return nil
}

// Cores is CPUs, at least 1.
func (r Resources) Cores() int { return max(r.CPUs, 1) }

func (j Job) valid() error {
	if err := j.Key.Valid(); err != nil {
		return err
	}
	if _, err := j.Script.Interpreter(); err != nil {
		return err
	}
	if strings.IndexByte(string(j.Script), 0) >= 0 {
		return &Error{Op: "job", What: string(j.Key), Kind: ErrInvalid, Err: errors.New("the script has a NUL byte")}
	}
	for _, k := range j.After {
		if err := k.Valid(); err != nil {
			return err
		}
		if k == j.Key {
			return &Error{Op: "job", What: string(k), Kind: ErrInvalid, Err: errors.New("a job cannot wait for itself")}
		}
	}
	return j.Resources.Valid()
}
