package bench

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A result is how long each contestant took, round by round. The first is cax.
type result struct {
	title string
	rows  []row
}

type row struct {
	name  string
	times []time.Duration
}

func (r row) median() time.Duration {
	d := slices.Sorted(slices.Values(r.times))
	return d[len(d)/2]
}

// report logs the table and, where a folder was named, adds it to the table there
// and draws the plot.
func (r result) report(t *testing.T) {
	text := r.table()
	t.Log("\n" + text)
	if *out == "" {
		return
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(*out, "table.txt"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s UTC\n%s\n", time.Now().UTC().Format(time.DateTime), text); err != nil {
		t.Fatal(err)
	}
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, r.title)
	if err := os.WriteFile(filepath.Join(*out, name+".svg"), []byte(r.plot()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r result) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, median of %d\n", r.title, len(r.rows[0].times))
	fmt.Fprintf(&b, "%-36s %10s %10s %10s %12s\n", "", "median", "min", "max", "cax / this")
	ours := r.rows[0].median()
	for _, c := range r.rows {
		fmt.Fprintf(&b, "%-36s %9.2fs %9.2fs %9.2fs %12.2f\n", c.name, c.median().Seconds(), slices.Min(c.times).Seconds(),
			slices.Max(c.times).Seconds(), ours.Seconds()/c.median().Seconds())
	}
	return b.String()
}

// plot draws the medians as bars, with the range of the rounds as a line.
func (r result) plot() string {
	const left, width, height, bar = 260, 420, 34, 18
	var longest time.Duration
	for _, c := range r.rows {
		longest = max(longest, slices.Max(c.times))
	}
	x := func(d time.Duration) float64 { return left + width*d.Seconds()/longest.Seconds() }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n",
		left+width+90, height*(len(r.rows)+1)+10)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="10" y="20" font-weight="bold">%s (seconds; bar: median, line: range)</text>`+"\n", html.EscapeString(r.title))
	for i, c := range r.rows {
		y := height*(i+1) + 4
		fill := "#9aa5b1"
		if i == 0 {
			fill = "#2f6fb0"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+14, html.EscapeString(c.name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, left, y, x(c.median())-left, bar, fill)
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="black"/>`, x(slices.Min(c.times)), x(slices.Max(c.times)), y+bar/2, y+bar/2)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.2f</text>`+"\n", x(slices.Max(c.times))+6, y+14, c.median().Seconds())
	}
	b.WriteString("</svg>\n")
	return b.String()
}
