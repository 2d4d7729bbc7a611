package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A table is rows of cells below a title and a head.
type table struct {
	title string
	head  []string
	rows  [][]string
	notes []string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// print writes the table with its columns aligned, the first one to the left.
func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", t.title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintln(tw, "  "+strings.Join(row, "\t"))
	}
	tw.Flush() //nolint:errcheck // there is nobody to tell
	for _, n := range t.notes {
		fmt.Fprintln(w, "  * "+n)
	}
}

func number(x float64) string { return strconv.FormatFloat(x, 'f', 0, 64) }

func ratio(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

// span writes a time with three digits or so.
func span(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// sized writes a size as people say it.
func sized(n int) string {
	if n >= 1<<10 {
		return fmt.Sprint(n>>10, " KiB")
	}
	return fmt.Sprint(n, " B")
}
