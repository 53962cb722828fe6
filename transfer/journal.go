package transfer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"
)

// A journal is the file in staging that says how far a copy has come. It is JSON
// lines, each replacing what was said before of the same file:
//
//	{"p":"ZmlsZQ==","s":1048576,"m":1458052320000000000,"o":1048576,"d":true}
//
// p is the path, base64; s and m are size and modification time (nanoseconds) of
// the source file when its part was copied; o is how many bytes from the start
// are durable; d tells that the file is finished. A last line that is torn is
// ignored.
//
// Only backends that can write at offsets have one. Without it, a file with the
// size and modification time of its source counts as finished; the verification
// at the end, or at the destination, finds what is not.
type journal struct {
	mu   sync.Mutex
	said map[string]mark

	w       io.WriteCloser // nil: not kept
	at      WriterAt
	size    int64
	pending bytes.Buffer
	wake    chan struct{}
	ended   chan struct{}
}

// A mark is what the journal says of one file.
type mark struct {
	Path   []byte `json:"p"`
	Size   int64  `json:"s"`
	MTime  int64  `json:"m"`
	Offset int64  `json:"o"`
	Done   bool   `json:"d,omitempty"`
}

// is reports whether the mark is about the file as it stands now.
func (m mark) is(f *file) bool {
	return m.Size == f.size && m.MTime == f.mtime.UnixNano() && m.Offset >= 0 && m.Offset <= m.Size && (!m.Done || m.Offset == m.Size)
}

func newJournal() *journal {
	return &journal{said: map[string]mark{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// noJournal is one that is not kept.
func noJournal() *journal {
	j := newJournal()
	close(j.ended)
	return j
}

// openJournal reads the journal of a staging folder and opens it to go on. Where
// the backend cannot write at offsets, none is kept.
func openJournal(ctx context.Context, b Backend, path string) (*journal, error) {
	j := newJournal()
	if err := j.read(ctx, b, path); err != nil && !errors.Is(err, ErrNotExist) {
		return nil, err
	}
	w, err := b.Create(ctx, path, j.size, j.size, time.Time{})
	if errors.Is(err, ErrUnsupported) {
		return noJournal(), nil
	}
	if err != nil {
		return nil, err
	}
	at, ok := w.(WriterAt)
	if !ok {
		return noJournal(), errors.Join(w.Close(), b.Remove(ctx, path))
	}
	j.w, j.at = w, at
	go j.keep()
	return j, nil
}

func (j *journal) read(ctx context.Context, b Backend, path string) error {
	f, err := b.Open(ctx, path, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return nil // what is left has no end: it was being written
		}
		if err != nil {
			return err
		}
		var m mark
		if json.Unmarshal(line, &m) != nil {
			return nil // nothing after it can be trusted; it is overwritten
		}
		j.size += int64(len(line))
		j.said[string(m.Path)] = m
	}
}

// get is what is known of a file, as long as it is the same as then.
func (j *journal) get(f *file) mark {
	j.mu.Lock()
	defer j.mu.Unlock()
	if m, ok := j.said[f.path]; ok && m.is(f) {
		return m
	}
	return mark{}
}

// kept reports whether there is a journal.
func (j *journal) kept() bool { return j.w != nil }

func (j *journal) done(f *file)               { j.say(f, f.size, true) }
func (j *journal) reached(f *file, off int64) { j.say(f, off, false) }
func (j *journal) forget(f *file)             { j.say(f, 0, false) }

// say notes how far a file has come. It is written within moments, by one
// goroutine, so that many small files do not wait for it.
func (j *journal) say(f *file, off int64, done bool) {
	m := mark{Path: []byte(f.path), Size: f.size, MTime: f.mtime.UnixNano(), Offset: off, Done: done}
	line, err := json.Marshal(m)
	if err != nil {
		panic(err) // bytes and numbers always marshal
	}
	j.mu.Lock()
	j.said[f.path] = m
	if j.w != nil {
		j.pending.Write(append(line, '\n'))
	}
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// keep writes what was said. An error ends it: the journal is then shorter than
// the truth, which costs time and nothing else.
func (j *journal) keep() {
	defer close(j.ended)
	for range j.wake {
		j.mu.Lock()
		b := bytes.Clone(j.pending.Bytes())
		j.pending.Reset()
		j.mu.Unlock()
		if len(b) == 0 {
			continue
		}
		if _, err := j.at.WriteAt(b, j.size); err != nil {
			break
		}
		j.size += int64(len(b))
	}
}

// close writes the rest and closes the file, within a moment even if the far side
// hangs. Nothing must be said afterwards.
func (j *journal) close() error {
	close(j.wake)
	if j.w == nil {
		return nil
	}
	select {
	case <-j.ended:
	case <-time.After(time.Second):
	}
	return j.w.Close()
}
