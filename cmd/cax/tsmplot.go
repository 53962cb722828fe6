package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cax-go/cax/cmd/internal/table"
)

// writePlot draws moves to a file: the volume, added up, and the rate of each, over time.
func writePlot(file string, moves []move) error {
	return os.WriteFile(file, plot(moves), 0o644)
}

// Measures of the drawing.
const (
	plotWidth, plotHeight = 900, 260 // of one panel
	plotLeft, plotTop     = 90, 30
)

// plot is the drawing, as SVG.
func plot(moves []move) []byte {
	moves = slices.DeleteFunc(slices.Clone(moves), func(m move) bool { return !m.ok || m.at.IsZero() })
	slices.SortStableFunc(moves, func(a, b move) int { return a.at.Compare(b.at) })
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotLeft+plotWidth+30, 2*(plotTop+plotHeight+40))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	if len(moves) == 0 {
		fmt.Fprintf(&b, `<text x="%d" y="%d">nothing was moved</text>`+"\n</svg>\n", plotLeft, plotTop)
		return b.Bytes()
	}
	from, to := moves[0].at, moves[len(moves)-1].at
	if to.Sub(from) < time.Minute {
		from, to = from.Add(-time.Minute), to.Add(time.Minute)
	}
	x := func(t time.Time) float64 {
		return plotLeft + plotWidth*float64(t.Sub(from))/float64(to.Sub(from))
	}
	total, fastest := map[bool]float64{}, 1.0
	for _, m := range moves {
		total[m.down] += float64(m.bytes)
		fastest = max(fastest, m.rate)
	}
	most := max(total[false], total[true], 1)
	frame(&b, 0, "volume", most, "", from, to)
	frame(&b, 1, "rate", fastest, "/s", from, to)
	for _, way := range []struct {
		down bool
		name string
		ink  string
	}{{false, "to tape", "#1f5fa8"}, {true, "from tape", "#c05a1c"}} {
		sum, path := 0.0, ""
		for _, m := range moves {
			if m.down != way.down {
				continue
			}
			if path == "" {
				path = fmt.Sprintf("M%.1f %.1f", x(m.at), y(0, 0))
			}
			path += fmt.Sprintf(" L%.1f %.1f", x(m.at), y(0, sum/most))
			sum += float64(m.bytes)
			path += fmt.Sprintf(" L%.1f %.1f", x(m.at), y(0, sum/most))
			if m.rate > 0 {
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(m.at), y(1, m.rate/fastest), way.ink)
			}
		}
		if path != "" {
			fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path, way.ink)
		}
		row := 0
		if way.down {
			row = 1
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s: %s</text>`+"\n", plotLeft+100+200*row, plotTop-10, way.ink, way.name, table.Size(int64(sum)))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// y is the height of a share of the largest value in a panel.
func y(panel int, share float64) float64 {
	return float64(plotTop+panel*(plotTop+plotHeight+40)) + plotHeight*(1-share)
}

// frame draws the axes of a panel.
func frame(b *bytes.Buffer, panel int, name string, most float64, unit string, from, to time.Time) {
	fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="%d" height="%d" fill="none" stroke="#888"/>`+"\n", plotLeft, y(panel, 1), plotWidth, plotHeight)
	fmt.Fprintf(b, `<text x="%d" y="%.1f">%s</text>`+"\n", plotLeft, y(panel, 1)-10, name)
	for _, share := range []float64{0, 0.5, 1} {
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s%s</text>`+"\n", plotLeft-6, y(panel, share)+4, table.Size(int64(most*share)), unit)
	}
	fmt.Fprintf(b, `<text x="%d" y="%.1f">%s</text>`+"\n", plotLeft, y(panel, 0)+16, from.UTC().Format(time.DateTime))
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s UTC</text>`+"\n", plotLeft+plotWidth, y(panel, 0)+16, to.UTC().Format(time.DateTime))
}
