package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
)

// A row is one contender's metrics over all seeds.
type row struct {
	name      string
	estimates []estimate
}

// measure runs an experiment for some contenders and all seeds.
func measure(e experiment, contenders []contender, o options) []row {
	samples := make([][][]float64, len(contenders)) // by contender, seed, metric
	var jobs []func()
	for i, c := range contenders {
		samples[i] = make([][]float64, o.seeds)
		for seed := range samples[i] {
			jobs = append(jobs, func() { samples[i][seed] = e.run(c, uint64(seed)+1) })
		}
	}
	parallel(o.workers, jobs)
	rows := make([]row, len(contenders))
	for i, c := range contenders {
		rows[i].name = c.name
		for m := range e.metrics {
			var xs []float64
			for _, sample := range samples[i] {
				xs = append(xs, sample[m])
			}
			rows[i].estimates = append(rows[i].estimates, estimateOf(xs))
		}
	}
	return rows
}

// parallel does jobs, some at once.
func parallel(workers int, jobs []func()) {
	next := make(chan func())
	var done sync.WaitGroup
	for range max(workers, 1) {
		done.Go(func() {
			for job := range next {
				job()
			}
		})
	}
	for _, job := range jobs {
		next <- job
	}
	close(next)
	done.Wait()
}

// printTable prints each metric with the 95 % interval of its mean, and what
// was published in brackets.
func printTable(out io.Writer, e experiment, rows []row) {
	fmt.Fprintf(out, "\n%s. %s\n", e.name, e.title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\t%s\n", strings.Join(e.metrics, "\t"))
	for _, r := range rows {
		fmt.Fprint(w, r.name)
		for m, est := range r.estimates {
			fmt.Fprintf(w, "\t%.4g ± %.2g%s", round(est.mean), est.half, bracket(e.published[r.name], m))
		}
		fmt.Fprintln(w)
	}
	for _, name := range others(e, rows) {
		fmt.Fprint(w, name)
		for m := range e.metrics {
			fmt.Fprintf(w, "\t%s", bracket(e.published[name], m))
		}
		fmt.Fprintln(w)
	}
	w.Flush() //nolint:errcheck // as for Fprintf
	if e.calibrates {
		worst, where := deviation(e, rows)
		fmt.Fprintf(out, "largest deviation from what was published: %.1f %% (%s)\n", 100*worst, where)
	}
}

// round keeps two decimals of what is near to 100 %.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

func bracket(published []float64, m int) string {
	if m >= len(published) || math.IsNaN(published[m]) {
		return ""
	}
	return fmt.Sprintf(" [%g]", published[m])
}

// others returns the balancers with published results that do not run here.
func others(e experiment, rows []row) []string {
	var names []string
	for name := range e.published {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// deviation returns the largest relative difference from what was published,
// not counting that of half a unit in the last digit.
func deviation(e experiment, rows []row) (worst float64, where string) {
	for _, r := range rows {
		for m, want := range e.published[r.name] {
			if math.IsNaN(want) {
				continue
			}
			d := max(math.Abs(r.estimates[m].mean-want)-unit(want)/2, 0) / want
			if d >= worst {
				worst, where = d, r.name+" "+e.metrics[m]
			}
		}
	}
	return worst, where
}

// unit returns what the last digit of a published figure stands for.
func unit(x float64) float64 {
	u := 1.0
	for math.Abs(x/u-math.Round(x/u)) > 1e-9 {
		u /= 10
	}
	return u
}
