package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// storm is how an outage of everything is played.
type storm struct {
	clients int     // of each contender
	rate    float64 // calls a second of each client
	lead    time.Duration
	hold    time.Duration
	tail    time.Duration
	// together saves time, but then the retries of some burden the servers of all.
	together bool
}

var (
	fullStorm  = storm{clients: 50, rate: 4, lead: time.Second, hold: 8 * time.Second, tail: 6 * time.Second}
	quickStorm = storm{clients: 10, rate: 4, lead: 500 * time.Millisecond, hold: 1500 * time.Millisecond, tail: 3 * time.Second, together: true}
)

// A survivor is the result of one contender's clients in an outage.
type survivor struct {
	name       string
	calls      int     // begun while all was down
	dials      float64 // for each of them
	executions float64 // for each of them that reached a server at last
	failed     int     // of them
	// recovery is from the servers' return to the first window in which 95 % of the
	// calls begun in it succeed.
	recovery moment
}

// amplification is how many attempts there were for each call, whichever way one can
// get at them.
func (s survivor) amplification() float64 { return max(s.dials, s.executions) }

// window is what the recovery is judged by.
const (
	window   = 500 * time.Millisecond
	windowOK = 0.95
)

// An outage takes all replicas away and gives them back.
type outage struct {
	name       string
	begin, end func(*process) error
}

var outages = []outage{
	{"all three killed (SIGKILL), then started again", func(p *process) error { p.kill(); return nil }, (*process).start},
	{"all three frozen (SIGSTOP), then going on (SIGCONT)", (*process).freeze, (*process).thaw},
}

// runOutage plays the outages, and prints a table for each.
func runOutage(ctx context.Context, out *output) error {
	st := fullStorm
	if out.quick {
		st = quickStorm
	}
	turns := "one contender after the other"
	if st.together {
		turns = "all contenders at the same time"
	}
	fmt.Fprintf(out, `
== Outage of everything: %d clients, each with %.0f calls a second, down for %v; %s ==

Attempts for each call begun while all was down: connections tried, counted where they are made, and executions that
reached the servers after all, counted in their journals. Recovery: until %.0f %% of the calls of half a second succeed.
`, st.clients, st.rate, st.hold, turns, 100*windowOK)
	chart := newChart("Attempts for each call while all replicas are down", "")
	for _, o := range outages {
		survivors, err := st.playAll(ctx, o, crowd())
		if err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		t := outageTable(o, survivors)
		t.print(out)
		out.report["outage"] += fmt.Sprintf("%s, %d clients, %v:\n\n%s\n", o.name, st.clients, st.hold, t.markdown())
		out.aim(outageAims(o, survivors)...)
		chart.groups = append(chart.groups, o.name)
		for _, s := range survivors {
			chart.add(s.name, s.amplification())
		}
	}
	return chart.save(out.plots, "outage")
}

// crowd are the contenders that come back at all, and of rpcx those with stock servers,
// which is harder.
func crowd() []contender {
	var out []contender
	for _, c := range contenders {
		ours := strings.HasPrefix(c.name, "rpcx")
		if !c.alone && !ours && c.same == "" || c.name == "rpcx" || c.name == "rpcx configured" {
			out = append(out, c)
		}
	}
	return out
}

// flock is all clients of one contender.
type flock struct {
	contender
	dials atomic.Int64
	loads []*load
	// atBegin and atEnd are the dials there were when the outage began and ended.
	atBegin, atEnd int64
}

func (f *flock) netDial(ctx context.Context, network, addr string) (net.Conn, error) {
	f.dials.Add(1)
	return (&net.Dialer{Timeout: patience}).DialContext(ctx, network, addr)
}

// playAll runs an outage for all contenders.
func (st storm) playAll(ctx context.Context, o outage, who []contender) ([]survivor, error) {
	if st.together {
		return st.play(ctx, o, who)
	}
	var all []survivor
	for _, c := range who {
		one, err := st.play(ctx, o, []contender{c})
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

// play runs an outage with the contenders at the same time.
func (st storm) play(ctx context.Context, o outage, who []contender) (_ []survivor, err error) {
	fleet, err := startFleet(3)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	flocks, err := st.gather(ctx, fleet, who)
	if err != nil {
		return nil, err
	}
	down, up, err := st.inflict(ctx, o, fleet, flocks)
	var survivors []survivor
	records := make([][]record, len(flocks))
	for i, f := range flocks {
		var finishErr error
		records[i], finishErr = f.finish(ctx)
		err = errors.Join(err, finishErr)
	}
	if err != nil {
		return nil, err
	}
	ran, err := fleet.executions()
	for i, f := range flocks {
		survivors = append(survivors, f.survivor(records[i], ran, down, up))
	}
	return survivors, err
}

// gather opens all clients and starts their loads.
func (st storm) gather(ctx context.Context, fleet *fleet, who []contender) ([]*flock, error) {
	var flocks []*flock
	for _, c := range who {
		flocks = append(flocks, &flock{contender: c})
	}
	clients, err := openAll(len(who)*st.clients, func(i int) (client, error) {
		f := flocks[i/st.clients]
		return f.open(fleet.addrs(f.wire), options{netDial: f.netDial})
	})
	if err != nil {
		return nil, err
	}
	origin := time.Now()
	for i, c := range clients {
		f := flocks[i/st.clients]
		f.loads = append(f.loads, startLoad(ctx, c, i, st.rate, origin))
	}
	return flocks, nil
}

// inflict is the outage in time, since the loads began.
func (st storm) inflict(ctx context.Context, o outage, fleet *fleet, flocks []*flock) (down, up time.Duration, err error) {
	origin := flocks[0].loads[0].origin
	err = errors.Join(rest(ctx, st.lead), fleet.each(o.begin))
	down = time.Since(origin)
	for _, f := range flocks {
		f.atBegin = f.dials.Load()
	}
	err = errors.Join(err, rest(ctx, st.hold))
	for _, f := range flocks {
		f.atEnd = f.dials.Load()
	}
	err = errors.Join(err, fleet.each(o.end))
	up = time.Since(origin)
	return down, up, errors.Join(err, rest(ctx, st.tail))
}

// finish ends all loads at the same time, and returns their records.
func (f *flock) finish(ctx context.Context) ([]record, error) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // protects following
		all  []record
		errs []error
	)
	for _, l := range f.loads {
		l.halt()
		wg.Go(func() {
			records, err := l.finish(ctx, 2*whole)
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, records...), append(errs, err)
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

func (f *flock) survivor(records []record, ran map[uint64]int, down, up time.Duration) survivor {
	s := survivor{name: f.name, recovery: recovery(records, up)}
	executions := 0
	for _, r := range records {
		if r.began < down || r.began >= up {
			continue
		}
		s.calls++
		executions += ran[r.n]
		if r.err != nil {
			s.failed++
		}
	}
	s.dials = float64(f.atEnd-f.atBegin) / float64(max(1, s.calls))
	s.executions = float64(executions) / float64(max(1, s.calls))
	return s
}

// recovery finds the first window that is good. Windows begin a tenth of a second
// apart.
func recovery(records []record, up time.Duration) moment {
	last := up
	for _, r := range records {
		last = max(last, r.began)
	}
	const step = window / 5
	for from := up; from+window <= last; from += step {
		calls, ok := 0, 0
		for _, r := range records {
			if r.began >= from && r.began < from+window {
				calls++
				if r.err == nil {
					ok++
				}
			}
		}
		if calls > 0 && float64(ok) >= windowOK*float64(calls) {
			return moment{from - up, some}
		}
	}
	return moment{kind: never}
}

func outageTable(o outage, survivors []survivor) *table {
	t := &table{
		title: o.name,
		head:  []string{"", "calls while down", "failed", "connections tried for each", "executions for each", "recovery"},
	}
	for _, s := range survivors {
		t.add(s.name, fmt.Sprint(s.calls), fmt.Sprint(s.failed), ratio(s.dials), ratio(s.executions), s.recovery.String())
	}
	return t
}

func outageAims(o outage, survivors []survivor) []aim {
	var aims []aim
	for _, s := range survivors {
		if s.name != "rpcx" {
			continue
		}
		seconds := s.recovery.after.Seconds()
		if s.recovery.kind == never {
			seconds = 1000
		}
		aims = append(aims,
			// A replica is to be back after a quarter of the time away: about 20 trials in 8 s.
			aim{
				"attempts for each call of rpcx, " + o.name, 2, s.amplification(), true,
				"The first probes come soonest, and idempotent calls leave a suspect replica for another: the shorter the outage, the more for a call.",
			},
			aim{
				"seconds until rpcx recovers, " + o.name, 3, seconds, true,
				"Pings probe a replica that was away, 1 s apart at most if its host answers.",
			})
	}
	return aims
}
