package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/rpc"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// A crowded is a run in the simulator and on real server processes. Other clients keep one
// server busy: it always has more of their calls than workers. Servers may report their load
// in replies. As in a loopback, there is only a balancer, no breaker or detector.
type crowded struct {
	perSecond float64
	end       time.Duration
	reports   bool
}

const (
	crowdedWorkers = 4
	crowdedOthers  = 8 // calls of other clients in flight at crowdedOne
	crowdedOne     = 0
)

var crowdedMetrics = []string{"success %", "p50 ms", "p99 ms", "crowded %"}

func crowdedRow(r *result) []float64 { return append(loopRow(r)[:3], loopRow(r)[3+crowdedOne]) }

// picker returns ours for the simulation.
func (l crowded) picker(policy balancer.Policy, seed uint64) picker {
	o := newOurs(loopServers, balancer.Config{Policy: policy, Seed: seed})
	o.reported = l.reports
	return o
}

// always picks one server.
type always int

func (a always) pick(c *call, _ time.Duration) { c.server = int(a) }
func (always) done(*call, time.Duration)       {}

// simulated runs the simulator's servers.
func (l crowded) simulated(p picker, seed uint64) []float64 {
	w := newWorld(seed, loopServers)
	w.timeout = loopTimeout
	for i := range w.servers {
		s := &w.servers[i]
		s.workers, s.backlog, s.serve = crowdedWorkers, math.MaxInt, exponential(loopMean)
	}
	w.unseen(always(crowdedOne), crowdedOthers)
	w.open(p, l.perSecond, l.end)
	w.run(l.end + loopTimeout)
	return crowdedRow(&w.result)
}

// real runs server processes.
func (l crowded) real(policy balancer.Policy, seed uint64) (row []float64, err error) {
	servers, err := startProcesses()
	defer func() { err = errors.Join(err, endProcesses(servers)) }()
	if err != nil {
		return nil, err
	}
	stop, err := crowd(servers[crowdedOne].addr)
	if err != nil {
		return nil, err
	}
	defer stop()
	nodes := &nodeSpy{Policy: policy}
	c := newCollector(servers)
	c.restart()
	d := rpcx.Dialer{
		Balancer: nodes, Breaker: breaker.Config{Disabled: true}, Heartbeat: -1, Retry: rpcx.Retry{MaxAttempts: -1},
		Trace: &rpcx.ClientTrace{AttemptDone: c.attempt},
	}
	client, err := d.Dial("tcp", addresses(servers)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	random, began := rng(seed), time.Now()
	var wg sync.WaitGroup
	for at := time.Duration(0); at < l.end; at += time.Duration(random.ExpFloat64() / l.perSecond * float64(time.Second)) {
		time.Sleep(time.Until(began.Add(at))) // real processes take real time
		id := random.Uint64()
		wg.Go(func() {
			c.call(id, func(ctx context.Context) (uint64, error) {
				reply, err := rpcx.Invoke[Worked](ctx, client, "Sleeper.Work", id)
				if err == nil && l.reports {
					nodes.report(reply)
				}
				return reply.ID, err
			})
		})
	}
	wg.Wait()
	return c.row(crowdedRow)
}

// crowd keeps calls of another client in flight at a server until stop.
func crowd(addr string) (stop func(), err error) {
	client, err := rpc.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	for range crowdedOthers {
		wg.Go(func() {
			for client.Call("Sleeper.Work", uint64(0), new(Worked)) == nil {
			}
		})
	}
	return func() {
		client.Close() //nolint:errcheck // ends the calls
		wg.Wait()
	}, nil
}

// A nodeSpy is a policy that knows the balancer's nodes, for the reports.
type nodeSpy struct {
	balancer.Policy
	nodes sync.Map // by ID
}

func (p *nodeSpy) Picker(v *balancer.View) balancer.Picker {
	for _, n := range v.Nodes() {
		p.nodes.Store(n.ID(), n)
	}
	return p.Policy.Picker(v)
}

// report passes on what a reply says. Its ticket is done already, so that its call is
// none of those in flight.
func (p *nodeSpy) report(reply Worked) {
	if n, ok := p.nodes.Load(reply.Server); ok {
		n.(*balancer.Node).Report(time.Now(), reply.Running-1)
	}
}

// runCrowded prints both, side by side.
func runCrowded(w io.Writer, l crowded, seeds int) error {
	fmt.Fprintf(w, "\nCrowded: %d servers with %d workers (exp %v, %.0f calls/s, %.0f s); other clients keep %d calls in one\n",
		loopServers, crowdedWorkers, loopMean, l.perSecond, l.end.Seconds(), crowdedOthers)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t\n", strings.Join(crowdedMetrics, "\t"))
	for _, p := range []struct {
		name    string
		policy  balancer.Policy
		reports bool
	}{{"P2C", balancer.P2C(), false}, {"P2C, load in replies", balancer.P2C(), true}, {"round robin", balancer.RoundRobin(), false}} {
		l.reports = p.reports
		real, err := l.real(p.policy, 1)
		if err != nil {
			return err
		}
		estimates := make([][]float64, len(crowdedMetrics))
		for seed := range uint64(seeds) {
			for i, v := range l.simulated(l.picker(p.policy, seed+1), seed+1) {
				estimates[i] = append(estimates[i], v)
			}
		}
		printLoop(t, p.name, real, estimates)
	}
	return t.Flush()
}
