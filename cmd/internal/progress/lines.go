package progress

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/cmd/internal/table"
	"go.uber.org/zap"
)

// tick writes lines until stop is closed.
func (m *Monitor) tick(stop <-chan struct{}) {
	t := time.NewTicker(m.every)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			m.lines()
		}
	}
}

// lines logs one line for each transfer, and one in total if there are several.
func (m *Monitor) lines() {
	m.mu.Lock()
	var jobs []*job
	for j := range m.active {
		jobs = append(jobs, j)
	}
	total, round := m.sum(), m.round
	m.mu.Unlock()
	slices.SortFunc(jobs, func(a, b *job) int { return strings.Compare(title(a.d), title(b.d)) })
	for _, j := range jobs {
		f := []zap.Field{zap.String("task", j.d.Task), zap.Int64("run", j.d.Number), zap.String("site", j.d.Key.Host),
			zap.String("name", j.d.Name), zap.String("type", string(j.d.Key.Type))}
		if j.d.From != "" {
			f = append(f, zap.String("from", j.d.From))
		}
		m.Log.Info("progress", append(f, numbers(j.meter.now())...)...)
	}
	if round > 1 && len(jobs) > 0 {
		m.Log.Info("progress in total", append(numbers(total), zap.Int("under_way", len(jobs)), zap.Int("transfers", round))...)
	}
}

func numbers(s state) []zap.Field {
	var f []zap.Field
	if p, ok := s.part(); ok {
		f = append(f, zap.String("done", fmt.Sprintf("%.0f%%", 100*p)))
	}
	f = append(f, zap.Int64("bytes", s.Bytes))
	if s.Total > 0 {
		f = append(f, zap.Int64("of", s.Total))
	}
	f = append(f, zap.String("rate", table.Size(int64(s.Rate))+"/s"))
	if eta, ok := s.eta(); ok {
		f = append(f, zap.Duration("eta", eta))
	}
	if n := files(s); n != "" {
		f = append(f, zap.String("files", n))
	}
	return f
}

// files is how many files are finished, and of how many; "" where that is not
// told, as by verifications.
func files(s state) string {
	switch {
	case s.Files == 0:
		return ""
	case s.Of == 0:
		return fmt.Sprint(s.Files)
	}
	return fmt.Sprintf("%d/%d", s.Files, s.Of)
}
