package progress

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bars draws on a terminal. Its container lives as long as a transfer is under
// way. As a writer, it prints lines above the bars.
type bars struct {
	out   io.Writer
	total func() state

	mu       sync.Mutex
	p        *mpb.Progress // nil: nothing is drawn
	n        int           // bars of transfers
	totalBar *mpb.Bar      // nil: there was only one transfer
}

func (b *bars) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.p != nil {
		if n, err := b.p.Write(line); err == nil {
			return n, nil
		}
	}
	return b.out.Write(line)
}

// add adds the bar of a transfer, and that of the total below it when it is the
// second. remove takes it away, and after the last one everything.
func (b *bars) add(title string, now func() state) (remove func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.p == nil {
		b.p = mpb.New(mpb.WithOutput(b.out), mpb.WithAutoRefresh())
	}
	x := b.draw(title, now)
	if b.n++; b.n == 2 && b.totalBar == nil {
		b.totalBar = b.draw("total", b.total, mpb.BarPriority(math.MaxInt))
	}
	return func() { b.remove(x) }
}

func (b *bars) draw(title string, now func() state, o ...mpb.BarOption) *mpb.Bar {
	title = command.Printable(title)
	fill := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		_, err := io.WriteString(w, line(title, now(), s.AvailableWidth))
		return err
	})
	return b.p.MustAdd(0, fill, append(o, mpb.BarFillerTrim())...)
}

func (b *bars) remove(x *mpb.Bar) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x.Abort(true)
	if b.n--; b.n > 0 {
		return
	}
	if b.totalBar != nil {
		b.totalBar.Abort(true)
		b.totalBar = nil
	}
	b.p.Wait()
	b.p = nil
}

// line makes one line of at most so many columns: the numbers always, then as
// much of the title and a bar as fits.
func line(title string, s state, width int) string {
	numbers := figures(s)
	room := width - utf8.RuneCountInString(numbers) - 1
	if room < 8 {
		return cut(numbers, width)
	}
	const most = 30
	text := cut(title, min(room, 2*most))
	room -= utf8.RuneCountInString(text) + 1
	if room < 12 {
		return cut(text+" "+numbers, width)
	}
	cells := min(most, room-3)
	filled, head := 0, ""
	if p, ok := s.part(); ok {
		filled = int(p * float64(cells))
		if filled < cells {
			head = ">"
		}
	}
	return fmt.Sprintf("%s [%s%s%s] %s", text, strings.Repeat("=", filled), head,
		strings.Repeat(" ", max(0, cells-filled-len(head))), numbers)
}

// figures are percentage, bytes, rate, time to go, and files.
func figures(s state) string {
	var f []string
	if p, ok := s.part(); ok {
		f = append(f, fmt.Sprintf("%3.0f%%", math.Floor(100*p)))
	}
	bytes := table.Size(s.Bytes)
	if s.Total > 0 {
		bytes += " of " + table.Size(s.Total)
	}
	f = append(f, bytes, table.Size(int64(s.Rate))+"/s")
	if eta, ok := s.eta(); ok {
		f = append(f, "ETA "+eta.String())
	}
	if n := files(s); n != "" {
		f = append(f, n+" files")
	}
	return strings.Join(f, "  ")
}

// cut shortens text to so many characters.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	return string(r[:n-1]) + "…"
}
