package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// A fleet is a size of the grid. The calls of larger ones take longer, so that
// a server always has four workers to keep busy and the number of calls stays
// within reason. timeout is ten times the mean or more. From 1000 servers on it is the time
// that a full queue takes. So in overload an even distribution of the calls, with all queues
// almost full, lets most of them expire, and an uneven one has more success: round robin than
// the balancer, and the balancer than the shortest queue. With twice the timeout it is the other
// way round.
type fleet struct {
	servers, clients int
	mean, timeout    time.Duration
	seeds, peers     int           // runs of each, and of others than ours and round robin
	after            time.Duration // how long it is watched after the fault
}

var fleets = []fleet{
	{3, 1, 20 * time.Millisecond, time.Second, 20, 5, 20 * time.Second},
	{11, 1, 20 * time.Millisecond, time.Second, 20, 3, 20 * time.Second},
	{100, 5, 50 * time.Millisecond, time.Second, 10, 1, 20 * time.Second},
	{1000, 10, 200 * time.Millisecond, 2 * time.Second, 5, 0, 15 * time.Second},
	{10_000, 10, 800 * time.Millisecond, 8 * time.Second, 3, 0, 10 * time.Second},
}

const (
	tolerated   = .1  // points of success
	stampede    = 1.2 // times a fair share
	gridWorkers = 4
	gridBacklog = 40 // calls that wait at a server before it refuses more
	faultBegins = 5 * time.Second
	faultLasts  = 10 * time.Second
)

var loads = []float64{.5, .7, .9, 1.1}

// A fault is what happens to some servers between faultBegins and faultEnds.
type fault struct {
	name string
	part float64 // of the servers, at least one
	// begin and end change one server; where and picker are for faults that
	// change the list.
	begin, end func(s *server)
	every      time.Duration // repeats begin; 0 for once
	replaces   bool          // whether the servers get new identities one by one
}

var faults = []fault{
	{name: "slow", part: .05, begin: slow(5), end: slow(1)},
	{name: "GC pause", part: .05, begin: func(s *server) { s.pause(time.Second) }, every: 2500 * time.Millisecond},
	{name: "dead", part: .05, begin: (*server).kill, end: (*server).restart},
	{name: "hung", part: .05, begin: func(s *server) { s.pause(faultLasts) }},
	{name: "flapping", part: .05, begin: flap, end: (*server).restart, every: 2 * time.Second},
	{name: "black hole 100 %", part: .05, begin: failing(1), end: failing(0)},
	{name: "black hole 45 %", part: .05, begin: failing(.45), end: failing(0)},
	{name: "black hole 20 %", part: .05, begin: failing(.2), end: failing(0)},
	{name: "slow fleet", part: .1, begin: slow(3), end: slow(1)},
	{name: "replacement", part: 1, replaces: true},
	{name: "mass recovery", part: .5, begin: (*server).kill, end: (*server).restart},
}

func slow(factor float64) func(*server)   { return func(s *server) { s.slow = factor } }
func failing(share float64) func(*server) { return func(s *server) { s.fails = share } }

func flap(s *server) {
	s.kill()
	s.world.at(s.world.now+time.Second, s.restart)
}

// A cell is what one contender has shown in one place of the grid.
type cell struct {
	successes                        []float64 // of each run
	success, p50, p99, p999, maxLoad float64
	divert, back                     time.Duration // negative if it did not happen
	overshoot                        float64       // most of a fair share in the second after the fault
}

func (f fault) count(n int) int { return max(int(f.part*float64(n)), 1) }

// play runs one cell once.
func play(f fleet, ft fault, load float64, c contender, seed uint64) *world {
	w := newWorld(seed, f.servers)
	w.timeout = f.timeout
	for i := range w.servers {
		s := &w.servers[i]
		s.workers, s.backlog, s.serve = gridWorkers, gridBacklog, exponential(f.mean)
	}
	bad := ft.count(f.servers)
	w.result.watch = func(server int) bool { return server < bad }
	perClient := load * gridWorkers * float64(f.servers) / f.mean.Seconds() / float64(f.clients)
	for i := range f.clients {
		w.open(c.make(f.servers, seed*1000+uint64(i)), perClient, faultBegins+faultLasts+f.after)
	}
	if ft.replaces {
		ft.replaceAll(w)
	} else {
		ft.schedule(w, bad)
	}
	w.result.from, w.result.until = faultBegins, faultBegins+faultLasts+f.after-f.timeout
	w.run(-1)
	return w
}

func (f fault) schedule(w *world, bad int) {
	all := func(do func(*server)) func() {
		return func() {
			for i := range bad {
				do(&w.servers[i])
			}
		}
	}
	w.at(faultBegins, all(f.begin))
	if f.every > 0 {
		for t := faultBegins + f.every; t < faultBegins+faultLasts; t += f.every {
			w.at(t, all(f.begin))
		}
	}
	if f.end != nil {
		w.at(faultBegins+faultLasts, all(f.end))
	}
}

// replaceAll restarts the servers in ten batches, as a rolling update does: a
// batch breaks its connections, is down for half a second, and restarts with new names. The
// clients get the new list at the restart.
func (f fault) replaceAll(w *world) {
	n := len(w.servers)
	for batch := range 10 {
		from, to := batch*n/10, (batch+1)*n/10
		at := faultBegins + time.Duration(batch)*faultLasts/10
		w.at(at, func() {
			for i := from; i < to; i++ {
				w.servers[i].kill()
			}
		})
		w.at(at+500*time.Millisecond, func() {
			for i := from; i < to; i++ {
				w.servers[i].restart()
			}
			for _, c := range w.clients {
				if o, ok := c.picker.(*ours); ok {
					o.replace(from, to, w.now)
				}
			}
		})
	}
}

// cellOf averages several runs.
func cellOf(f fleet, ft fault, worlds []*world) cell {
	var c cell
	n := float64(len(worlds))
	c.divert, c.back = -1, -1
	for _, w := range worlds {
		r := &w.result
		c.successes = append(c.successes, r.success())
		c.success += r.success() / n
		c.p50 += r.quantile(.5) / n
		c.p99 += r.quantile(.99) / n
		c.p999 += r.quantile(.999) / n
		c.maxLoad += r.maxLoad() / n
	}
	if ft.replaces {
		return c
	}
	var sum result // of all runs, as single ones are too noisy
	for _, w := range worlds {
		for i, s := range w.result.shares {
			if len(sum.shares) <= i {
				sum.shares = append(sum.shares, share{})
			}
			sum.shares[i].watched += s.watched
			sum.shares[i].all += s.all
		}
	}
	fair := float64(ft.count(f.servers)) / float64(f.servers)
	over := faultBegins + faultLasts
	c.divert = sum.when(faultBegins, over, func(of float64) bool { return of < fair/2 })
	c.back = sum.when(over, over+f.after, func(of float64) bool { return of > fair/2 })
	for t := over; t < over+f.after-time.Second; t += time.Second / 2 {
		c.overshoot = max(c.overshoot, sum.sumShares(t, t+time.Second).of()/fair)
	}
	return c
}

// lead is by how many points of success c is above another contender's cell. Their
// runs are compared seed by seed.
func (c cell) lead(other cell) estimate {
	leads := slices.Clone(c.successes)
	for i := range leads {
		leads[i] -= other.successes[i]
	}
	return estimateOf(leads)
}

// when returns the time from from to the first quarter of a second with a wanted share.
func (r *result) when(from, to time.Duration, wanted func(share float64) bool) time.Duration {
	const span = 250 * time.Millisecond
	for t := from; t+span <= to; t += binSize {
		if wanted(r.sumShares(t, t+span).of()) {
			return t - from
		}
	}
	return -1
}

var gridContenders = []contender{
	named("ours"),
	{"round robin", func(n int, seed uint64) picker { return &roundRobin{rng(seed).IntN(n), n} }},
	named("ours, load in replies"),
	{"shortest queue", func(_ int, seed uint64) picker { return &shortest{rng: rng(seed)} }},
	named("Finagle P2C least loaded*"),
	named("Finagle Peak EWMA*"),
}

// gridOurs is how many of them run in every fleet and with each seed. The fourth is no
// contender, but the measure of what a balancer can do.
const gridOurs = 4

func runGrid(o options) error {
	var worse, lost, over []string
	cells := 0
	for _, f := range fleets {
		if !o.wantsSize(f.servers) {
			continue
		}
		who := gridContenders
		if f.peers == 0 {
			who = who[:gridOurs]
		}
		fmt.Printf("\n%d servers with %d workers of exp(%v), %d clients, timeout %v, %d seeds\n",
			f.servers, gridWorkers, f.mean, f.clients, f.timeout, f.seeds)
		tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(tw, "fault\tload\t\tsuccess %\tp50 ms\tp99 ms\tp99.9 ms\tmax/mean\tdivert s\treturn s\tovershoot\t")
		byLoad := make([]map[string][]cell, len(loads))
		for _, ft := range faults {
			if !o.wants(ft.name) {
				continue
			}
			for l, row := range gridRows(f, ft, who, o) {
				if row == nil {
					continue
				}
				cells++
				if byLoad[l] == nil {
					byLoad[l] = map[string][]cell{}
				}
				byLoad[l][ft.name] = row
				if lead := row[0].lead(row[1]); lead.mean < -tolerated {
					best := row[3].lead(row[1])
					worse = append(worse, fmt.Sprintf("%d %s %.1f: %.2f ± %.2f; shortest queue %.2f", f.servers, ft.name, loads[l], lead.mean, lead.half, best.mean))
				}
				if lead := row[2].lead(row[0]); lead.mean < -tolerated {
					lost = append(lost, fmt.Sprintf("%d %s %.1f: %.2f ± %.2f", f.servers, ft.name, loads[l], lead.mean, lead.half))
				}
				for _, i := range []int{0, 2} {
					if row[i].overshoot > stampede {
						over = append(over, fmt.Sprintf("%d %s %.1f %s: %.2f; shortest queue %.2f", f.servers, ft.name, loads[l], who[i].name, row[i].overshoot, row[3].overshoot))
					}
				}
				for i, c := range row {
					printCell(tw, ft, loads[l], who[i].name, c)
				}
			}
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		for l, cells := range byLoad {
			if o.out == "" || cells == nil {
				continue
			}
			if err := plotGrid(o.out, f, loads[l], who, cells); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\nin %d of %d cells success is more than %g points below round robin's\n", len(worse), cells, tolerated)
	for _, cell := range worse {
		fmt.Println("  " + cell)
	}
	fmt.Printf("in %d it is more than %g points lower with load in replies than without\n", len(lost), tolerated)
	for _, cell := range lost {
		fmt.Println("  " + cell)
	}
	fmt.Printf("in %d the servers that recover get more than %g times their fair share in a second\n", len(over), stampede)
	for _, cell := range over {
		fmt.Println("  " + cell)
	}
	return nil
}

// gridRows runs one fault at every load: rows by load, then contender.
func gridRows(f fleet, ft fault, who []contender, o options) [][]cell {
	rows := make([][]cell, len(loads))
	var jobs []func()
	for l := range loads {
		if !o.wantsLoad(loads[l]) {
			continue
		}
		rows[l] = make([]cell, len(who))
		for i, c := range who {
			jobs = append(jobs, func() {
				var worlds []*world
				seeds := f.seeds
				if i >= gridOurs {
					seeds = f.peers
				}
				for seed := range min(seeds, o.seeds) {
					worlds = append(worlds, play(f, ft, loads[l], c, uint64(seed)+1))
				}
				rows[l][i] = cellOf(f, ft, worlds)
			})
		}
	}
	parallel(o.workers, jobs)
	return rows
}

func printCell(tw *tabwriter.Writer, ft fault, load float64, name string, c cell) {
	seconds := func(d time.Duration) string {
		if d < 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", d.Seconds())
	}
	fmt.Fprintf(tw, "%s\t%.1f\t%s\t%.3f\t%.1f\t%.0f\t%.0f\t%.2f\t%s\t%s\t%.2f\t\n", ft.name, load, name,
		c.success, c.p50, c.p99, c.p999, c.maxLoad, seconds(c.divert), seconds(c.back), c.overshoot)
}
