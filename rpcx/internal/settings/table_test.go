package settings

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	long  = flag.Bool("long", false, "run for hours, and with more seeds")
	whole = flag.Bool("table", false, "measure the whole table of TestTable")
	cells = flag.Bool("cells", false, "print the outcome of each run, too")
)

const seeds = 3 // of the whole table

// notable is the loss from which on a cell is listed.
const notable = 0.10

// A key names a cell's measurement: a value on a workload, under a fault.
type key struct{ value, workload, fault string }

// scores has a score for each seed. A value of no setting is the default.
type scores map[key][]float64

// TestTable measures the table with -table, and else a few of its cells: those in which it is
// plain what the best value is.
func TestTable(t *testing.T) {
	t.Parallel()
	if *whole {
		measureAll(t, workloads, faults, settings, seeds).write(os.Stdout, workloads, faults, settings)
		return
	}
	lan, frozen := workloads[:1], faults[2:3]
	detect := []setting{settings[len(settings)-2]}
	detect[0].values = detect[0].values[:3]
	part := measureAll(t, lan, frozen, detect, 1)
	score := func(v string) float64 { return part[key{v, lan[0].name, frozen[0].name}][0] }
	require.Less(t, score("DetectionTime 250ms"), score("DetectionTime 1s"))
	require.Less(t, score("DetectionTime 1s"), score("default"))
	require.Less(t, score("default"), 0.2, "one call in 30 waits, and none fails")

	var out strings.Builder
	part.write(&out, lan, frozen, detect)
	require.Regexp(t, `\| LAN jitter \| \d{3} % \(250ms\) \|`, out.String())
	require.Contains(t, out.String(), "| `DetectionTime` | LAN jitter | frozen |")
	require.Regexp(t, `\| 250ms \| 0\.\d\d \| 0\.\d\d \| 1 \| 0 \|`, out.String())
}

// A value that is better with some seeds only is no better.
func TestLoss(t *testing.T) {
	s := setting{"x", []value{byDefault, {"lucky", nil}, {"good", nil}, {"better", nil}}}
	all := scores{
		{"default", "w", "f"}:  {4, 4, 4},
		{"x lucky", "w", "f"}:  {1, 1, 5},
		{"x good", "w", "f"}:   {3, 3, 3},
		{"x better", "w", "f"}: {2, 2, 2},
	}
	loss, best := all.loss(s, "w", []fault{{name: "f"}})
	require.Equal(t, "better", best)
	require.InDelta(t, 1, loss, 1e-9)
	loss, best = all.loss(setting{"x", s.values[:2]}, "w", []fault{{name: "f"}})
	require.Empty(t, best)
	require.Zero(t, loss)
}

func named(s setting, v value) string {
	if v.name == byDefault.name {
		return byDefault.name
	}
	if v.name == hedged.name {
		return hedged.name
	}
	return s.name + " " + v.name
}

// measureAll measures each value once, although several settings have it.
func measureAll(t *testing.T, ws []workload, fs []fault, ss []setting, seeds int) scores {
	all := make(scores)
	var mu sync.Mutex // protects all
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed+1), func(t *testing.T) {
			for _, w := range ws {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					for _, f := range fs {
						for name, v := range distinct(ss) {
							score := measureOne(t, key{name, w.name, f.name}, w, f, v, uint64(seed+1)) //nolint:gosec // small
							mu.Lock()
							all[key{name, w.name, f.name}] = append(all[key{name, w.name, f.name}], score)
							mu.Unlock()
						}
					}
				})
			}
		})
	}
	return all
}

// distinct returns the values of all settings by their names.
func distinct(ss []setting) map[string]value {
	values := make(map[string]value)
	for _, s := range ss {
		for _, v := range s.values {
			values[named(s, v)] = v
		}
	}
	return values
}

func measureOne(t *testing.T, k key, w workload, f fault, v value, seed uint64) float64 {
	o := measure(t, w, f, v.set, seed)
	if *cells {
		t.Logf("%v seed %d: p50 %v, p99 %v, p99.9 %v, %d failed, %.3f attempts, score %v",
			k, seed, o.quantile(.5), o.quantile(.99), o.quantile(.999), o.failed, o.attempts, o.score())
	}
	return o.score().Seconds()
}

// mean is the geometric mean: of figures that differ by orders of magnitude, each counts alike.
func mean(of []float64) float64 {
	sum := 0.0
	for _, v := range of {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(of)))
}

// over returns a value's scores on a workload under all of the faults, one for each seed.
func (all scores) over(value, workload string, fs []fault) []float64 {
	var means []float64
	for seed := range all[key{value, workload, fs[0].name}] {
		var of []float64
		for _, f := range fs {
			of = append(of, all[key{value, workload, f.name}][seed])
		}
		means = append(means, mean(of))
	}
	return means
}

// loss compares a default with the best of the fixed values. Better in some seeds only is no
// better.
func (all scores) loss(s setting, workload string, fs []fault) (loss float64, best string) {
	fallback := all.over(named(s, s.values[0]), workload, fs)
	for _, v := range s.values[1:] {
		mine := all.over(named(s, v), workload, fs)
		sure := true
		for i := range mine {
			sure = sure && mine[i] < fallback[i]
		}
		if l := mean(fallback)/mean(mine) - 1; sure && l > loss {
			loss, best = l, v.name
		}
	}
	return loss, best
}

func (all scores) write(out io.Writer, ws []workload, fs []fault, ss []setting) {
	fmt.Fprintln(out, "\nLoss of the default over all faults, and the best fixed value:")
	fmt.Fprintln(out)
	fmt.Fprint(out, "| Workload |")
	for _, s := range ss {
		fmt.Fprintf(out, " `%s` |", s.name)
	}
	fmt.Fprint(out, "\n|---|")
	for range ss {
		fmt.Fprint(out, "---|")
	}
	fmt.Fprintln(out)
	for _, w := range ws {
		fmt.Fprintf(out, "| %s |", w.name)
		for _, s := range ss {
			loss, best := all.loss(s, w.name, fs)
			if best == "" {
				fmt.Fprint(out, " 0 % |")
			} else {
				fmt.Fprintf(out, " %.0f %% (%s) |", 100*loss, best)
			}
		}
		fmt.Fprintln(out)
	}
	all.writeCells(out, ws, fs, ss)
	all.writeValues(out, ws, fs, ss)
}

// writeCells lists the cells with a notable loss.
func (all scores) writeCells(out io.Writer, ws []workload, fs []fault, ss []setting) {
	fmt.Fprintf(out, "\nCells in which a default loses more than %.0f %%:\n\n", 100*notable)
	fmt.Fprintln(out, "| Setting | Workload | Fault | Default's score | Loss | Best |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|")
	for _, s := range ss {
		for _, w := range ws {
			for _, f := range fs {
				if loss, best := all.loss(s, w.name, []fault{f}); loss > notable {
					own := mean(all[key{named(s, s.values[0]), w.name, f.name}])
					fmt.Fprintf(out, "| `%s` | %s | %s | %.0f ms | %.0f %% | %s |\n", s.name, w.name, f.name, 1000*own, 100*loss, best)
				}
			}
		}
	}
}

// writeValues says what each fixed value is worth as a default.
func (all scores) writeValues(out io.Writer, ws []workload, fs []fault, ss []setting) {
	fmt.Fprint(out, "\nFixed values in place of the default, over all cells:\n\n")
	fmt.Fprintln(out, "| Setting | Value | Score to the default's | Worst cell | Cells better by 10 % | Worse by 10 % |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|")
	for _, s := range ss {
		for _, v := range s.values[1:] {
			var ratios []float64
			better, worse := 0, 0
			for _, w := range ws {
				for _, f := range fs {
					r := mean(all[key{named(s, v), w.name, f.name}]) / mean(all[key{named(s, s.values[0]), w.name, f.name}])
					ratios = append(ratios, r)
					if r < 1/(1+notable) {
						better++
					}
					if r > 1+notable {
						worse++
					}
				}
			}
			fmt.Fprintf(out, "| `%s` | %s | %.2f | %.2f | %d | %d |\n", s.name, v.name, mean(ratios), slices.Max(ratios), better, worse)
		}
	}
}
