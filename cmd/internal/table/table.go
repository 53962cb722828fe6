// Package table prints aligned columns for people.
package table

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/cax-go/cax/cmd/internal/command"
)

// A Colour is how a cell looks on a terminal. The zero value is plain.
type Colour string

// The colours.
const (
	Plain  Colour = ""
	Green  Colour = "32"
	Yellow Colour = "33"
	Red    Colour = "31"
	Bold   Colour = "1"
)

// A Cell is one field of a row. What is not printable in it is escaped.
type Cell struct {
	Text   string
	Right  bool // aligned to the right, as numbers are
	Colour Colour
}

// A Table collects rows and prints them when all are known.
type Table struct {
	Header []string
	rows   [][]Cell
}

// Add appends a row. It has one cell per column.
func (t *Table) Add(cells ...Cell) { t.rows = append(t.rows, cells) }

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// gap stands between columns.
const gap = "  "

// Write prints header and rows; the last column is not padded. colour says
// whether the output is a terminal that shows colours.
func (t *Table) Write(w io.Writer, colour bool) error {
	header := make([]Cell, len(t.Header))
	for i, h := range t.Header {
		header[i] = Cell{Text: h, Colour: Bold}
		if len(t.rows) > 0 {
			header[i].Right = t.rows[0][i].Right
		}
	}
	rows := append([][]Cell{header}, t.rows...)
	width := make([]int, len(t.Header))
	for _, r := range rows {
		for i := range r {
			r[i].Text = command.Printable(r[i].Text)
			width[i] = max(width[i], utf8.RuneCountInString(r[i].Text))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.Text))
			if c.Right {
				b.WriteString(pad)
			}
			b.WriteString(Paint(c.Text, c.Colour, colour))
			if !c.Right && i < len(r)-1 {
				b.WriteString(pad)
			}
			if i < len(r)-1 {
				b.WriteString(gap)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// Paint gives text its colour where on is true.
func Paint(s string, c Colour, on bool) string {
	if !on || c == Plain || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}
