package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// A row is one line of the table: the same figure of two subjects.
type row struct {
	name       string
	unit       string
	base, ours subject
	compare    comparison
	required   float64 // what the compared figure may be at most; zero means anything
}

// A subject is what is measured, once it is set up.
type subject func(*addresses) (trial, error)

// A trial measures its subject for a while as often as wanted, until it is closed.
type trial struct {
	measure func(time.Duration) (float64, error)
	close   func() error
}

// A comparison makes one figure of a round's two.
type comparison struct {
	of     func(base, ours float64) float64
	format string
}

var (
	ratio  = comparison{func(base, ours float64) float64 { return ours / base }, "%.2f"}
	own    = comparison{func(_, ours float64) float64 { return ours }, "%.1f"}
	excess = comparison{func(base, ours float64) float64 { return ours - base }, "%+.0f"}
)

// A result is a row's figures, one a round.
type result struct{ base, ours, compared []float64 }

// run measures the two by turns; which is first changes from round to round.
func (r row) run(s *server, count int, length time.Duration) (res result, err error) {
	var trials [2]trial
	for i, open := range []subject{r.base, r.ours} {
		t, err := open(&s.addresses)
		if err != nil {
			return res, err
		}
		defer func() { err = errors.Join(err, t.close()) }()
		trials[i] = t
		if _, err := t.measure(length / 10); err != nil { // to warm up
			return res, err
		}
	}
	for n := range count {
		var figures [2]float64
		for i := range trials {
			i = (i + n) % len(trials)
			runtime.GC() // so that neither pays for the other's garbage
			if figures[i], err = trials[i].measure(length); err != nil {
				return res, err
			}
		}
		res.base = append(res.base, figures[0])
		res.ours = append(res.ours, figures[1])
		res.compared = append(res.compared, r.compare.of(figures[0], figures[1]))
	}
	return res, nil
}

// legend is what stands above the rows.
const legend = `"Compared" is rpcx's time per call divided by net/rpc's; for allocations and idle endpoints, rpcx's
own figure; for delays, rpcx's minus net/rpc's, in microseconds. "Range" is over the rounds. A row with
"beside" in its name compares rpcx with rpcx, which is in the column of net/rpc.

| | net/rpc | rpcx | compared | range | required | |
|---|---|---|---|---|---|---|
`

// print writes the row of the table.
func (res result) print(w io.Writer, r row) {
	show := func(x float64) string { return fmt.Sprintf(r.compare.format, x) }
	compared := show(median(res.compared))
	required, verdict := "", ""
	if r.required != 0 {
		required, verdict = "≤ "+show(r.required), "held"
		if shown, _ := strconv.ParseFloat(compared, 64); shown > r.required {
			verdict = "missed"
		}
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s … %s | %s | %s |\n", r.name,
		figure(median(res.base), r.unit), figure(median(res.ours), r.unit), compared,
		show(slices.Min(res.compared)), show(slices.Max(res.compared)), required, verdict)
}

// figure writes three digits or so.
func figure(x float64, unit string) string {
	digits := 0
	if x < 100 {
		digits = 1
	}
	if x < 10 {
		digits = 2
	}
	return strconv.FormatFloat(x, 'f', digits, 64) + unit
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
