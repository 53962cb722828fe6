package progress

import (
	"sync"
	"time"
)

// A meter follows one transfer. It implements transfer.Progress and is safe for
// concurrent use.
type meter struct {
	elapsed func() time.Duration

	mu      sync.Mutex
	state   state
	moved   int64 // bytes that were really moved: what the rate is made from
	samples []sample
}

type sample struct {
	at    time.Duration
	moved int64
}

// The rate is that of the last window, looked at in steps.
const (
	window = 15 * time.Second
	step   = 500 * time.Millisecond
)

// A state is where one transfer, or several together, are.
type state struct {
	Bytes, Total int64 // Total 0: not known
	Files, Of    int   // Of 0: not known
	Rate         float64
}

func newMeter(elapsed func() time.Duration) *meter {
	return &meter{elapsed: elapsed, samples: []sample{{at: elapsed()}}}
}

func (m *meter) Start(files int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Of, m.state.Total = files, bytes
	m.samples = []sample{{m.elapsed(), m.moved}}
}

func (m *meter) Moved(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Bytes += n
	m.moved += n
	if now := m.elapsed(); now-m.samples[len(m.samples)-1].at >= step {
		m.samples = append(m.samples, sample{now, m.moved})
		m.trim(now)
	}
}

func (m *meter) Skipped(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Bytes += n
}

func (m *meter) File(string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Files++
}

// trim drops samples that are older than the window, but for the last of them.
func (m *meter) trim(now time.Duration) {
	i := 0
	for i < len(m.samples)-1 && now-m.samples[i+1].at >= window {
		i++
	}
	m.samples = m.samples[i:]
}

func (m *meter) now() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	now := m.elapsed()
	m.trim(now)
	if d := now - m.samples[0].at; d > 0 {
		s.Rate = float64(m.moved-m.samples[0].moved) / d.Seconds()
	}
	return s
}

// plus adds what another transfer does. A total that is not known stays so.
func (s state) plus(o state) state {
	return state{s.Bytes + o.Bytes, s.Total + o.Total, s.Files + o.Files, s.Of + o.Of, s.Rate + o.Rate}
}

// eta is how long the rest takes at this rate; false if nothing can be said.
func (s state) eta() (time.Duration, bool) {
	if s.Rate <= 0 || s.Total <= 0 || s.Bytes > s.Total {
		return 0, false
	}
	secs := float64(s.Total-s.Bytes) / s.Rate
	if secs > 1000*24*3600 {
		return 0, false
	}
	return time.Duration(secs * float64(time.Second)).Round(time.Second), true
}

// part is how much is done, from 0 to 1; false if the total is not known.
func (s state) part() (float64, bool) {
	if s.Total <= 0 {
		return 0, false
	}
	return min(1, float64(s.Bytes)/float64(s.Total)), true
}
