package chaos

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Report is the result of a Run.
type Report struct {
	Seed    uint64
	Length  time.Duration
	Steps   []Step
	Tallies []Tally
	Reacts  []React // how the rpcx clients reacted to each kind of fault
	// Goroutines is how many more there were after the run than before it.
	Goroutines int
	Unknown    int // executions of calls that were not made
}

// A Tally is the result of the calls of one client, by the servers' journals.
type Tally struct {
	Client           string
	Idempotent       int // calls
	IdempotentFailed int // but for the method's own errors
	Deposits         int
	DepositsFailed   int
	Failures         map[Class]int
	Duplicates       int     // deposits executed more than once
	DoneNotRun       int     // reported as done, or as run, and never ran
	NotSentRan       int     // reported as not sent, and ran
	Doubts           int     // deposits reported as perhaps executed
	Unexplained      int     // of these, those whose server was not killed meanwhile
	Amplification    float64 // executions for each idempotent call that was done
	Hung             int     // took longer than the bound, or had to be cut off
	CutOff           int
	Longest, P50     time.Duration
	P99, P999        time.Duration
	Samples          []Failure      // idempotent calls, the first of each class
	Weather          map[string]int // idempotent calls that failed, by what was wrong then
}

// Ours returns the tallies of the rpcx clients, and Theirs the others.
func (r Report) Ours() []Tally { return r.pick(true) }

// Theirs is the opposite of Ours.
func (r Report) Theirs() []Tally { return r.pick(false) }

func (r Report) pick(ours bool) []Tally {
	var out []Tally
	for _, t := range r.Tallies {
		if strings.HasPrefix(t.Client, "rpcx") == ours {
			out = append(out, t)
		}
	}
	return out
}

// React is the reaction of a client to one kind of fault.
type React struct {
	Fault    Fault
	Episodes int
	// Divert is from the fault's beginning to that of the last attempt that it
	// has made fail or hold on; Free is to the end of the last such attempt.
	Divert, Free Spread
	// Return is from the fault's end to the first answer since.
	Return  Spread
	NotBack int // episodes without one, before the next fault or the end
}

// A Spread is the middle and the largest of some times.
type Spread struct{ Median, Max time.Duration }

func (r *rig) report(before int) Report {
	out := Report{Seed: r.cfg.Seed, Length: r.cfg.Length, Steps: r.cfg.Steps}
	runs := make([][][]uint8, len(r.loads))
	for i, l := range r.loads {
		runs[i] = make([][]uint8, len(l.workers))
		for w := range l.workers {
			runs[i][w] = make([]uint8, len(l.workers[w].fate))
		}
	}
	for _, s := range r.servers {
		err := s.Executions(func(id uint64, _ time.Time) {
			l, w, n := split(id)
			if l >= len(runs) || w >= len(runs[l]) || n < 0 || n >= len(runs[l][w]) {
				out.Unknown++
				return
			}
			runs[l][w][n]++
		})
		if err != nil {
			r.tb.Error(err)
		}
	}
	for i, l := range r.loads {
		t := l.tally(runs[i], r.cfg)
		r.explain(&t, l)
		out.Tallies = append(out.Tallies, t)
	}
	out.Reacts = react(r.watches)
	out.Goroutines = max(0, settled(before)-before)
	return out
}

// explain counts the doubts about calls, and those that no kill explains.
func (r *rig) explain(t *Tally, l *load) {
	t.Doubts = len(l.doubts)
	for _, d := range l.doubts {
		killed := slices.ContainsFunc(r.kills[d.endpoint], func(k kill) bool { return k.done.After(d.began) && k.began.Before(d.end) })
		if killed {
			continue
		}
		if t.Unexplained++; t.Unexplained <= 8 {
			r.tb.Logf("%s: no kill explains, %v after the beginning: %s", t.Client, d.began.Sub(l.began).Round(time.Millisecond), d.text)
		}
	}
}

// settled is the number of goroutines, once those that are about to end have had
// their time to.
func settled(before int) int {
	for range 100 {
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return runtime.NumGoroutine()
}

func (l *load) tally(runs [][]uint8, cfg Config) Tally {
	t := Tally{Client: l.name, Failures: make(map[Class]int), CutOff: l.cut, Weather: make(map[string]int)}
	for _, f := range l.failures {
		t.Weather[weather(cfg.Steps, f.At+f.Took)]++
		if f.Text != "" {
			t.Samples = append(t.Samples, f)
		}
	}
	var (
		micros          []uint32
		peeksRun, peeks int
	)
	for w := range l.workers {
		for n, code := range l.workers[w].fate {
			class, ran := l.classes[code], int(runs[w][n])
			failed := class.Kind != kindDone && class.Kind != kindRefused
			t.judge(class, ran)
			if idempotent(l.method(n)) {
				t.Idempotent++
				if failed {
					t.IdempotentFailed++
				} else {
					peeks, peeksRun = peeks+1, peeksRun+ran
				}
			} else {
				t.Deposits++
				if failed {
					t.DepositsFailed++
				}
				if ran > 1 {
					t.Duplicates++
				}
			}
			if failed {
				t.Failures[class]++
			}
		}
		micros = append(micros, l.workers[w].micros...)
	}
	t.Amplification = float64(peeksRun) / float64(max(1, peeks))
	t.times(micros, cfg.Bound)
	return t
}

// Broken says which promises of rpcx were broken; none is the rule while at
// least one replica of three is in order and no byte is changed on the way.
func (t Tally) Broken() []string {
	var out []string
	check := func(n int, what string) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%s: %d %s", t.Client, n, what))
		}
	}
	check(t.IdempotentFailed, "idempotent calls failed")
	check(t.Duplicates, "calls ran twice that are not idempotent")
	check(t.DoneNotRun, "calls never ran and were reported as run")
	check(t.NotSentRan, "calls ran and were reported as not sent")
	check(t.Hung+t.CutOff, "calls hung")
	for c, n := range t.Failures {
		if c.Kind == kindWrong || strings.HasPrefix(c.Kind, kindUnclear) {
			check(n, "calls failed with: "+c.Kind)
		}
	}
	return out
}

// judge lays what the caller was told beside what the servers wrote down.
func (t *Tally) judge(class Class, ran int) {
	switch {
	case ran == 0 && (class.Kind == kindDone || class.Sent == "yes"):
		t.DoneNotRun++
	case ran > 0 && class.Sent == "no":
		t.NotSentRan++
	}
}

func (t *Tally) times(micros []uint32, bound time.Duration) {
	slices.Sort(micros)
	at := func(q float64) time.Duration {
		if len(micros) == 0 {
			return 0
		}
		return time.Duration(micros[int(q*float64(len(micros)-1))]) * time.Microsecond
	}
	t.P50, t.P99, t.P999, t.Longest = at(0.5), at(0.99), at(0.999), at(1)
	first, _ := slices.BinarySearch(micros, uint32(bound.Microseconds())+1)
	t.Hung = len(micros) - first
}

// react sums up the episodes by fault, and leaves out faults there were none of.
func react(watches []*watch) []React {
	var out []React
	for f := Healthy + 1; f < faults; f++ {
		var divert, free, back []time.Duration
		r := React{Fault: f}
		for _, w := range watches {
			for _, e := range w.episodes() {
				if e.Fault != f {
					continue
				}
				r.Episodes++
				if !e.harmed.IsZero() {
					divert = append(divert, max(0, e.harmed.Sub(e.began)))
					free = append(free, e.freed.Sub(e.began))
				}
				if e.returned.IsZero() {
					r.NotBack++
				} else {
					back = append(back, e.returned.Sub(e.healed))
				}
			}
		}
		r.Divert, r.Free, r.Return = spread(divert), spread(free), spread(back)
		if r.Episodes > 0 {
			out = append(out, r)
		}
	}
	return out
}

func spread(d []time.Duration) Spread {
	if len(d) == 0 {
		return Spread{}
	}
	slices.Sort(d)
	return Spread{d[len(d)/2], d[len(d)-1]}
}

func (s Spread) String() string {
	return fmt.Sprintf("%v, at most %v", s.Median.Round(time.Millisecond), s.Max.Round(time.Millisecond))
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %v, %d faults; goroutines left over %d; executions of unknown calls %d\n",
		r.Seed, r.Length, len(r.Steps), r.Goroutines, r.Unknown)
	for _, t := range r.Tallies {
		t.write(&b)
	}
	fmt.Fprintf(&b, "rpcx, by fault (median and largest):\n")
	for _, x := range r.Reacts {
		fmt.Fprintf(&b, "  %-10v %4d times; last call there after %v; last one freed after %v; back in %v; not back before the next %d\n",
			x.Fault, x.Episodes, x.Divert, x.Free, x.Return, x.NotBack)
	}
	return b.String()
}

func (t Tally) write(b *strings.Builder) {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	fmt.Fprintf(b, "%s: idempotent %d, failed %d; not idempotent %d, failed %d\n",
		t.Client, t.Idempotent, t.IdempotentFailed, t.Deposits, t.DepositsFailed)
	fmt.Fprintf(b, "  duplicates %d; done but not run %d; not sent but run %d; perhaps executed %d, %d without a kill; hung %d, cut off %d\n",
		t.Duplicates, t.DoneNotRun, t.NotSentRan, t.Doubts, t.Unexplained, t.Hung, t.CutOff)
	fmt.Fprintf(b, "  p50 %v, p99 %v, p99.9 %v, longest %v; executions for each idempotent call done %.4f\n",
		round(t.P50), round(t.P99), round(t.P999), round(t.Longest), t.Amplification)
	writeCounts(b, t.Failures)
	if t.IdempotentFailed > 0 {
		fmt.Fprintf(b, "  idempotent calls failed, by what was wrong:\n")
		writeCounts(b, t.Weather)
	}
	for _, f := range t.Samples[:min(len(t.Samples), 8)] {
		fmt.Fprintf(b, "    call %x failed at %v after %v and %d attempts: %s\n",
			f.ID, f.At.Round(time.Millisecond), f.Took.Round(time.Millisecond), f.Attempts, f.Text)
	}
}

// writeCounts writes what there was most of first.
func writeCounts[K comparable](b *strings.Builder, counts map[K]int) {
	keys := slices.Collect(maps.Keys(counts))
	slices.SortFunc(keys, func(x, y K) int { return counts[y] - counts[x] })
	for i, k := range keys {
		if i == 12 {
			fmt.Fprintf(b, "    and %d kinds more\n", len(keys)-i)
			break
		}
		fmt.Fprintf(b, "    %7d %v\n", counts[k], k)
	}
}
