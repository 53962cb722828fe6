package cax

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
)

// A size is what a look at a dataset's files gives.
type size struct {
	files  int
	bytes  int64
	newest time.Time // of all modification times, folders included; zero: there is nothing
}

// lookAt measures a dataset without reading it. One that is not there is empty. A
// folder's time does not move while a file in it grows, so every file counts.
func lookAt(ctx context.Context, place transfer.Backend, path string) (size, error) {
	var s size
	add := func(i transfer.Info) {
		if i.ModTime.After(s.newest) {
			s.newest = i.ModTime
		}
		if i.Mode.IsRegular() {
			s.files++
			s.bytes += i.Size
		}
	}
	top, err := place.Lstat(ctx, path)
	if errors.Is(err, transfer.ErrNotExist) || errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if add(top); !top.Mode.IsDir() {
		return s, nil
	}
	for i, err := range place.List(ctx, path) {
		if err != nil {
			return s, err
		}
		add(i)
	}
	return s, nil
}

// A growth is what this process has seen of a dataset, on its own clock.
type growth struct {
	size
	err       error
	unchanged time.Duration // for how long it has been seen like this
	told      bool          // people were told that it does not grow
}

// growths remembers what was seen of datasets that nobody holds a claim on. It is
// safe for concurrent use.
type growths struct {
	mu   sync.Mutex
	seen map[copyOf]*watched
}

type copyOf struct {
	run rundb.ID
	key rundb.Key
}

type watched struct {
	growth
	since, last time.Duration // on Clock.Elapsed: first seen like this, and last looked at
}

// recent returns the last look at a dataset if it is not older than age.
func (g *growths) recent(k copyOf, age, now time.Duration) (growth, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w, ok := g.seen[k]
	if !ok || now-w.last >= age {
		return growth{}, false
	}
	return w.growth, true
}

// note takes a look. One that failed says nothing about the dataset, and what was
// seen before no longer counts.
func (g *growths) note(k copyOf, s size, err error, now time.Duration) growth {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil {
		g.seen = map[copyOf]*watched{}
	}
	w, ok := g.seen[k]
	if !ok {
		w = &watched{since: now}
		g.seen[k] = w
	}
	if same := ok && w.err == nil && err == nil && w.files == s.files && w.bytes == s.bytes && w.newest.Equal(s.newest); !same {
		w.since, w.told = now, false
	}
	w.size, w.err, w.last = s, err, now
	w.unchanged = now - w.since
	return w.growth
}

// tell notes that people know that the dataset does not grow.
func (g *growths) tell(k copyOf) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w, ok := g.seen[k]; ok {
		w.told = true
	}
}

// forget drops what was not looked at for age, so that the memory of a daemon does
// not grow.
func (g *growths) forget(age, now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, w := range g.seen {
		if now-w.last > age {
			delete(g.seen, k)
		}
	}
}
