// Package progress shows a person how transfers go on: bars on a terminal, lines
// in the log every ten seconds elsewhere.
package progress

import (
	"io"
	"sync"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/transfer"
	"go.uber.org/zap"
)

// A Monitor is told of transfers by [cax.Env]. The zero value of Log is not
// useful: set it before the first transfer.
type Monitor struct {
	Log *zap.Logger // for lines, where there are no bars

	every   time.Duration // between lines
	elapsed func() time.Duration

	mu     sync.Mutex
	active map[*job]bool
	ended  state // of those of this round that have ended
	round  int   // transfers since none was under way
	bars   *bars
	stop   chan struct{} // of the goroutine that writes lines
}

type job struct {
	d     cax.Decision
	meter *meter
}

// New makes a monitor. With bars, it draws on out, which must be a terminal;
// everything else that goes there then has to go through Writer.
func New(out io.Writer, withBars bool) *Monitor {
	began := time.Now()
	m := &Monitor{
		Log:     zap.NewNop(),
		every:   10 * time.Second,
		elapsed: func() time.Duration { return time.Since(began) },
		active:  map[*job]bool{},
	}
	if withBars {
		m.bars = &bars{out: out, total: m.total}
	}
	return m
}

// Writer is where whole lines for out have to go, so that they and the bars do
// not mix. out is that of New.
func (m *Monitor) Writer(out io.Writer) io.Writer {
	if m.bars == nil {
		return out
	}
	return m.bars
}

// Begin implements [cax.Monitor].
func (m *Monitor) Begin(d cax.Decision) (transfer.Progress, func(error)) {
	j := &job{d: d, meter: newMeter(m.elapsed)}
	m.mu.Lock()
	if len(m.active) == 0 {
		m.ended, m.round = state{}, 0
	}
	m.active[j] = true
	m.round++
	if m.bars == nil && m.stop == nil {
		m.stop = make(chan struct{})
		go m.tick(m.stop)
	}
	m.mu.Unlock()
	if m.bars == nil {
		return j.meter, func(error) { m.end(j) }
	}
	// Without the lock: bars ask for the state while they are drawn.
	remove := m.bars.add(title(d), j.meter.now)
	return j.meter, func(error) {
		m.end(j)
		remove()
	}
}

func (m *Monitor) end(j *job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.active, j)
	s := j.meter.now()
	s.Rate = 0
	s.Total, s.Of = s.Bytes, s.Files // what did not come will not
	m.ended = m.ended.plus(s)
	if len(m.active) == 0 && m.stop != nil {
		close(m.stop)
		m.stop = nil
	}
}

// total is the state of all transfers of this round together.
func (m *Monitor) total() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum()
}

func (m *Monitor) sum() state {
	s := m.ended
	for j := range m.active {
		s = s.plus(j.meter.now())
	}
	return s
}

// title names a transfer in a few words.
func title(d cax.Decision) string {
	name := d.Name
	if name == "" {
		name = d.Run.Hex()
	}
	s := d.What + " " + name
	if d.Key.Type != "" {
		s += " " + string(d.Key.Type)
	}
	if d.From != "" {
		return s + " " + d.From + "→" + d.Key.Host
	}
	return s + " at " + d.Key.Host
}
