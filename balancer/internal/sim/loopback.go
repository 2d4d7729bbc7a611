package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// A loopback is a run of the same length and load in the simulator and on real
// server processes, which rpcx calls through the same balancer; breakers, pings
// and retries are off, so that the balancer is alone with the faults. From faulty
// on, one server is slower, one fails all calls at once and one is stopped.
type loopback struct {
	perSecond float64
	faulty    time.Duration
	end       time.Duration
}

const (
	loopServers = 11
	loopMean    = 10 * time.Millisecond // of the time of service, exponential
	loopSlow    = 5
	loopTimeout = time.Second

	slowOne, holeOne, hungOne = 0, 1, 2
)

// metrics of a run, in the order of its row.
var loopMetrics = []string{"success %", "p50 ms", "p99 ms", "slowed %", "black hole %", "hung %"}

// row makes the metrics of a result whose picks count from the faults on.
func loopRow(r *result) []float64 {
	all := 0
	for _, n := range r.picks {
		all += n
	}
	share := func(i int) float64 { return 100 * float64(r.picks[i]) / float64(max(all, 1)) }
	return []float64{r.success(), r.quantile(.5), r.quantile(.99), share(slowOne), share(holeOne), share(hungOne)}
}

// simulated runs the simulator's servers.
func (l loopback) simulated(p picker, seed uint64) []float64 {
	w := newWorld(seed, loopServers)
	w.timeout = loopTimeout
	for i := range w.servers {
		w.servers[i].serve = exponential(loopMean)
	}
	w.at(l.faulty, func() {
		w.servers[slowOne].slow = loopSlow
		w.servers[holeOne].fails = 1
		w.servers[hungOne].pause(time.Hour)
		w.result = result{picks: make([]int, loopServers), from: l.faulty}
	})
	w.open(p, l.perSecond, l.end)
	w.run(-1)
	return loopRow(&w.result)
}

// real runs server processes.
func (l loopback) real(policy balancer.Policy, seed uint64) (row []float64, err error) {
	servers, err := startProcesses()
	defer func() { err = errors.Join(err, endProcesses(servers)) }()
	if err != nil {
		return nil, err
	}
	c := newCollector(servers)
	d := rpcx.Dialer{
		Balancer: policy, Breaker: breaker.Config{Disabled: true}, Heartbeat: -1, Retry: rpcx.Retry{MaxAttempts: -1},
		Trace: &rpcx.ClientTrace{AttemptDone: c.attempt},
	}
	client, err := d.Dial("tcp", addresses(servers)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return l.load(c, client, servers, seed)
}

// load calls at random times and inflicts the faults in between.
func (l loopback) load(c *collector, client *rpcx.Client, servers []*process, seed uint64) ([]float64, error) {
	random := rng(seed)
	began := time.Now()
	inflict := sync.OnceValue(func() error {
		c.restart()
		return errors.Join(servers[slowOne].tell("slow"), servers[holeOne].tell("fail"), freeze(servers[hungOne].cmd.Process))
	})
	var wg sync.WaitGroup
	for at := time.Duration(0); at < l.end; at += time.Duration(random.ExpFloat64() / l.perSecond * float64(time.Second)) {
		if at >= l.faulty {
			if err := inflict(); err != nil {
				return nil, err
			}
		}
		time.Sleep(time.Until(began.Add(at))) // real processes take real time
		id := random.Uint64()
		wg.Go(func() {
			c.call(id, func(ctx context.Context) (uint64, error) {
				return rpcx.Invoke[uint64](ctx, client, "Sleeper.Sleep", id)
			})
		})
	}
	wg.Wait()
	return c.row(loopRow)
}

// A collector keeps what became of real calls.
type collector struct {
	servers map[string]int
	epoch   atomic.Int64 // calls of an earlier one are left out

	mu     sync.Mutex // protects following
	result result
	wrong  int
}

func newCollector(servers []*process) *collector {
	c := &collector{servers: make(map[string]int)}
	for i, s := range servers {
		c.servers[s.addr] = i
	}
	return c
}

// row makes the metrics of all calls.
func (c *collector) row(of func(*result) []float64) ([]float64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong > 0 {
		return nil, fmt.Errorf("%d replies were other calls'", c.wrong)
	}
	return of(&c.result), nil
}

func (c *collector) restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch.Add(1)
	c.result = result{picks: make([]int, loopServers)}
}

func (c *collector) attempt(_ context.Context, i rpcx.AttemptInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.result.picks != nil {
		c.result.picks[c.servers[i.Endpoint]]++
	}
}

// call makes a call that is to answer with its id.
func (c *collector) call(id uint64, invoke func(context.Context) (uint64, error)) {
	epoch := c.epoch.Load()
	ctx, cancel := context.WithTimeout(context.Background(), loopTimeout)
	defer cancel()
	begin := time.Now()
	reply, err := invoke(ctx)
	took := time.Since(begin)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && reply != id {
		c.wrong++
	}
	if epoch != c.epoch.Load() {
		return
	}
	c.result.took = append(c.result.took, took)
	if err == nil {
		c.result.good++
	}
}

// runLoopback prints both, for ours and for round robin, side by side.
func runLoopback(w io.Writer, l loopback, seeds int) error {
	fmt.Fprintf(w, "\nLoopback: %d servers (exp %v, %.0f calls/s, timeout %v); from second %.0f to %.0f one is %d times slower, one fails all, one is stopped\n",
		loopServers, loopMean, l.perSecond, loopTimeout, l.faulty.Seconds(), l.end.Seconds(), loopSlow)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t\n", strings.Join(loopMetrics, "\t"))
	for _, p := range []struct {
		name   string
		policy balancer.Policy
	}{{"P2C", balancer.P2C()}, {"round robin", balancer.RoundRobin()}} {
		real, err := l.real(p.policy, 1)
		if err != nil {
			return err
		}
		estimates := make([][]float64, len(loopMetrics))
		for seed := range seeds {
			o := newOurs(loopServers, balancer.Config{Policy: p.policy, Seed: uint64(seed) + 1})
			for i, v := range l.simulated(o, uint64(seed)+1) {
				estimates[i] = append(estimates[i], v)
			}
		}
		printLoop(t, p.name, real, estimates)
	}
	return t.Flush()
}

func printLoop(w io.Writer, name string, real []float64, simulated [][]float64) {
	rows := [3]string{name + ", simulated", name + ", real", "real/simulated"}
	for i, xs := range simulated {
		e := estimateOf(xs)
		rows[0] += fmt.Sprintf("\t%.2f ± %.2f", e.mean, e.half)
		rows[1] += fmt.Sprintf("\t%.2f", real[i])
		rows[2] += fmt.Sprintf("\t%.3f", real[i]/e.mean)
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t\n", r)
	}
}
