package cax

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cax-go/cax/process/correction"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// errNoCorrection: the run database has no document of a correction, and no file is
// named.
var errNoCorrection = errors.New("there is no correction")

// ofDocument reports whether an error is one of a correction's document, and not one of
// the run database.
func ofDocument(err error) bool {
	var e *correction.Error
	return errors.Is(err, errNoCorrection) || errors.As(err, &e)
}

// corrections remembers documents that were read, so that a formula is not read in each
// cycle, and what became of runs. It is safe for concurrent use.
type corrections struct {
	mu   sync.Mutex
	docs map[rundb.Collection]readCorrection
	told map[string]string // by task: the last error that was told
	set  map[runTask]string
	fail map[runTask]failedCorrection
}

type readCorrection struct {
	raw bson.Raw
	doc *correction.Document
	err error
}

type runTask struct {
	run  rundb.ID
	task string
}

type failedCorrection struct {
	version string
	verb    Verb
	err     error
	at      time.Duration // on Clock.Elapsed
}

// newest is the newest document of a correction. errNoCorrection if the run database has
// none; a [correction.Error] if it cannot be used; else an error of the run database.
func (c *corrections) newest(ctx context.Context, env *Env, k correction.Kind) (*correction.Document, error) {
	var from correction.Source = correction.Store{Runs: env.Store}
	file := env.Config.Corrections.file(k.Collection)
	if file != "" {
		from = correction.File(expandHome(file))
	}
	raw, err := from.Newest(ctx, k)
	switch {
	case errors.Is(err, correction.ErrNotExist) && file == "":
		return nil, errNoCorrection
	case err != nil:
		return nil, err
	}
	c.mu.Lock()
	was, ok := c.docs[k.Collection]
	c.mu.Unlock()
	if ok && bytes.Equal(was.raw, raw) {
		return was.doc, was.err
	}
	doc, err := correction.Parse(k, raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docs == nil {
		c.docs = map[rundb.Collection]readCorrection{}
	}
	c.docs[k.Collection] = readCorrection{raw, doc, err}
	return doc, err
}

// tells reports whether an error of a task is not the one that was told last.
func (c *corrections) tells(task string, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told == nil {
		c.told = map[string]string{}
	}
	text := err.Error()
	fresh := c.told[task] != text
	c.told[task] = text
	return fresh
}

// wrote is the version that this process has set last; "" if none.
func (c *corrections) wrote(run rundb.ID, task string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set[runTask{run, task}]
}

func (c *corrections) writes(run rundb.ID, task, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil {
		c.set = map[runTask]string{}
	}
	c.set[runTask{run, task}] = version
	delete(c.fail, runTask{run, task})
}

// fails notes that a run has no value by a document.
func (c *corrections) fails(run rundb.ID, doc *correction.Document, verb Verb, err error, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail == nil {
		c.fail = map[runTask]failedCorrection{}
	}
	c.fail[runTask{run, doc.Kind.Task}] = failedCorrection{doc.Version, verb, err, now}
}

// failed is why a run had no value by a document within the last day.
func (c *corrections) failed(run rundb.ID, doc *correction.Document, now time.Duration) (failedCorrection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := runTask{run, doc.Kind.Task}
	f, ok := c.fail[k]
	if ok && (f.version != doc.Version || now-f.at >= day) {
		delete(c.fail, k)
		return f, false
	}
	return f, ok
}
