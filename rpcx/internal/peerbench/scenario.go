package main

import (
	"context"
	"errors"
	"time"

	"resilientrpc/rpcx/internal/chaos"
)

// A scenario is one thing that goes wrong with replicas, and ends.
type scenario struct {
	name string
	what string
	// proxied has the calls pass proxies, which bring the fault about.
	proxied bool
	// whole says that all replicas have the fault.
	whole bool
	// begin brings the fault about, and end ends it.
	begin, end func(context.Context, *rig) error
}

const victim = 0 // the replica that has the faults; contenders with one replica have it

var scenarios = []scenario{
	{
		name: "kill", what: "one of three is killed (SIGKILL), and started again",
		begin: func(_ context.Context, r *rig) error { r.fleet.procs[victim].kill(); return nil },
		end:   func(_ context.Context, r *rig) error { return r.fleet.procs[victim].start() },
	},
	{
		name: "freeze", what: "one of three is frozen (SIGSTOP), and goes on (SIGCONT)",
		begin: func(_ context.Context, r *rig) error { return r.fleet.procs[victim].freeze() },
		end:   func(_ context.Context, r *rig) error { return r.fleet.procs[victim].thaw() },
	},
	proxied("stall", "no byte passes to or from one of three; at the end all arrive", chaos.Stall),
	proxied("reset", "connections to one of three end with RST, new ones after a few bytes", chaos.Reset),
	proxied("half-open", "one of three loses all bytes of its connections, without a sign and for ever", chaos.HalfOpen),
	ordered("slow", "each call of one of three takes 200 ms more", "slow 200ms", "slow 0s"),
	ordered("failing", "one of three answers each call with an error at once (where there are codes, with one for unavailable)", "failing true", "failing false"),
	{name: "rolling", what: "each of three is asked to stop in order, and started again, with a pause between", begin: roll},
	{
		name: "all down", what: "all three are killed, and started again", whole: true,
		begin: func(_ context.Context, r *rig) error {
			return r.fleet.each(func(p *process) error { p.kill(); return nil })
		},
		end: func(_ context.Context, r *rig) error { return r.fleet.each((*process).start) },
	},
}

// proxied is a fault of the network before one replica.
func proxied(name, what string, f chaos.Fault) scenario {
	set := func(f chaos.Fault) func(context.Context, *rig) error {
		return func(_ context.Context, r *rig) error {
			var errs []error
			for _, p := range r.proxies {
				errs = append(errs, p[victim].Set(f))
			}
			return errors.Join(errs...)
		}
	}
	return scenario{name: name, what: what, proxied: true, begin: set(f), end: set(chaos.Healthy)}
}

// ordered is a fault that one replica is told to have.
func ordered(name, what, on, off string) scenario {
	tell := func(order string) func(context.Context, *rig) error {
		return func(_ context.Context, r *rig) error {
			_, err := r.fleet.procs[victim].tell(order)
			return err
		}
	}
	return scenario{name: name, what: what, begin: tell(on), end: tell(off)}
}

// roll restarts all replicas, one after the other.
func roll(ctx context.Context, r *rig) error {
	for i, p := range r.fleet.procs {
		if i > 0 {
			if err := rest(ctx, r.settle); err != nil {
				return err
			}
		}
		if err := errors.Join(p.stop(), p.start()); err != nil {
			return err
		}
	}
	return nil
}

// timing is how long the parts of a scenario last, and how many calls each
// contender makes in a second.
type timing struct {
	lead, hold, tail time.Duration // before, during and after the fault
	settle           time.Duration // between restarts
	// hung is how long a call may take before it counts as hung, more than any
	// deadline.
	hung time.Duration
	rate float64
}

var (
	fullTiming  = timing{lead: 2 * time.Second, hold: 6 * time.Second, tail: 6 * time.Second, settle: 2 * time.Second, hung: 5 * time.Second, rate: 200}
	quickTiming = timing{lead: 300 * time.Millisecond, hold: 1200 * time.Millisecond, tail: 800 * time.Millisecond, settle: 300 * time.Millisecond, hung: whole + time.Second/2, rate: 50}
)

// A rig is a scenario on its way, with all contenders at the same time: the same
// fault at the same moment for all, and the same load on the machine.
type rig struct {
	scenario
	timing
	fleet   *fleet
	proxies map[wire][]*chaos.Proxy
	loads   []*load
	origin  time.Time
	// faulty and healed are when the fault was about to begin and had ended.
	faulty, healed time.Duration
}

// play runs a scenario, and returns the results, by contender.
func play(ctx context.Context, s scenario, t timing, who []contender) (_ []outcome, err error) {
	r := &rig{scenario: s, timing: t, proxies: make(map[wire][]*chaos.Proxy)}
	if r.fleet, err = startFleet(3); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	clients, err := openAll(len(who), func(i int) (client, error) {
		addrs, err := r.addrs(who[i].wire)
		if err != nil {
			return nil, err
		}
		return who[i].open(addrs, options{})
	})
	if err != nil {
		return nil, err
	}
	r.origin = time.Now()
	for i, c := range clients {
		r.loads = append(r.loads, startLoad(ctx, c, i, t.rate, r.origin))
	}
	err = r.inflict(ctx)
	for _, l := range r.loads {
		l.halt()
	}
	var outcomes []outcome
	for i, l := range r.loads {
		records, loadErr := l.finish(ctx, t.hung)
		err = errors.Join(err, loadErr)
		outcomes = append(outcomes, r.outcome(who[i].name, records))
	}
	if err != nil {
		return nil, err
	}
	ran, err := r.fleet.executions()
	for i, l := range r.loads {
		outcomes[i].duplicates = duplicates(l.records, ran)
	}
	return outcomes, err
}

// inflict is the scenario in time.
func (r *rig) inflict(ctx context.Context) error {
	if err := rest(ctx, r.lead); err != nil {
		return err
	}
	r.faulty = time.Since(r.origin)
	if err := r.begin(ctx, r); err != nil {
		return err
	}
	if r.end != nil {
		err := errors.Join(rest(ctx, r.hold), r.end(ctx, r))
		if err != nil {
			return err
		}
	}
	r.healed = time.Since(r.origin)
	return rest(ctx, r.tail)
}

// addrs are where the replicas are called.
func (r *rig) addrs(w wire) ([]string, error) {
	if !r.proxied {
		return r.fleet.addrs(w), nil
	}
	if r.proxies[w] == nil {
		for i, target := range r.fleet.addrs(w) {
			p, err := chaos.NewProxy(target, uint64(i+1))
			if err != nil {
				return nil, err
			}
			r.proxies[w] = append(r.proxies[w], p)
		}
	}
	var out []string
	for _, p := range r.proxies[w] {
		out = append(out, p.Addr)
	}
	return out, nil
}

func (r *rig) close() error {
	for _, all := range r.proxies {
		for _, p := range all {
			p.Close()
		}
	}
	return r.fleet.Close()
}
