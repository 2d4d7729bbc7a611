package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"resilientrpc/rpcx"
)

// loadConfig is what the demo and the load subcommand have in common.
type loadConfig struct {
	workers, rate    int
	bound, heartbeat time.Duration
}

func (c *loadConfig) register(fs *flag.FlagSet) {
	fs.IntVar(&c.workers, "workers", 8, "calls that may be in flight at once")
	fs.IntVar(&c.rate, "rate", 200, "calls a second")
	fs.DurationVar(&c.bound, "bound", 5*time.Second, "a call that takes longer counts as hung")
	fs.DurationVar(&c.heartbeat, "heartbeat", 0, "rpcx's heartbeat; 0 is its default")
}

func (c *loadConfig) check() error {
	switch {
	case c.workers < 1 || c.workers > 10_000:
		return usagef("-workers is %d; want 1 to 10000", c.workers)
	case c.rate < 1 || c.rate > 1_000_000:
		return usagef("-rate is %d; want 1 to 1000000", c.rate)
	case c.heartbeat < 0:
		return usagef("-heartbeat is %v; want 0 or more", c.heartbeat)
	}
	return positive("bound", c.bound)
}

// dialer is w's with the heartbeat asked for. No call takes longer than it may, with a little
// for the machine.
func (c *loadConfig) dialer(w wire) *rpcx.Dialer {
	d := w.dialer()
	d.Heartbeat, d.CallTimeout = c.heartbeat, c.bound-c.bound/20
	return d
}

// runLoad drives load through one client, and fails if an idempotent call
// fails, hangs, or gets a wrong answer.
func runLoad(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	var w wire
	var cfg loadConfig
	w.register(fs)
	cfg.register(fs)
	servers := fs.String("servers", "", serversUsage)
	length := fs.Duration("for", 10*time.Second, "how long the load lasts")
	byHand := fs.Bool("plain", false, "use a plain net/rpc client instead of rpcx")
	if err := parse(fs, args, stdout); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usagef("load: unexpected argument %q", fs.Arg(0))
	}
	if *byHand && isURL(*servers) {
		return usagef("load: -servers is %q; net/rpc, for -plain, knows addresses only", *servers)
	}
	addrs, err := splitServers(*servers)
	if err := cmp.Or(w.check(), cfg.check(), positive("for", *length), err); err != nil {
		return err
	}

	screen := newScreen(stdout)
	self := func(addr string) string { return addr }
	var l *load
	if *byHand {
		l = newLoad("plain", newPlain(w, addrs), cfg)
		screen.view = newViewer(self, nil, l).look
	} else {
		dialer := cfg.dialer(w)
		dialer.Trace = gossip(screen.whisper, self)
		client, err := dialer.Dial("tcp", addrs...)
		if err != nil {
			return err
		}
		l = newLoad("rpcx", resilient{client}, cfg)
		screen.view = newViewer(self, client, l).look
	}
	// A server's journal may see several loads.
	l.prefix = fmt.Sprintf("%s-%d-%d", l.name, os.Getpid(), time.Now().UnixNano())
	working, stop := context.WithTimeout(ctx, *length)
	defer stop()
	screen.start()
	l.start(working)
	<-working.Done()
	screen.stop()
	l.finish(ctx)
	r := l.report()
	writeReports(stdout, r)
	return cmp.Or(ctx.Err(), r.verdict())
}

// A load is steady work for one client: workers that each make one call at a
// time, every fourth of them a deposit.
type load struct {
	name    string
	prefix  string // of its call ids
	client  caller
	workers int
	rate    int // calls a second, all workers together
	tally   *tally

	wg sync.WaitGroup
}

func newLoad(name string, client caller, cfg loadConfig) *load {
	return &load{
		name: name, prefix: name, client: client, workers: cfg.workers, rate: cfg.rate,
		tally: newTally(cfg.bound),
	}
}

// start lets the workers begin; they end with ctx.
func (l *load) start(ctx context.Context) {
	for w := range l.workers {
		l.wg.Go(func() { l.work(ctx, w) })
	}
}

// finish waits until every worker has ended, but no longer than a call may
// take, and not at all if ctx has ended. It then closes the client, which frees
// what still waits, and settles the tally.
func (l *load) finish(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		l.wg.Wait()
		close(done)
	}()
	// The last call began before this, so beyond the bound it has hung.
	wait(ctx, done, l.tally.bound+100*time.Millisecond)
	l.client.Close() //nolint:errcheck // the connections of dead replicas are broken
	// The plain client's dial through HTTP to a frozen replica outlives Close.
	wait(context.Background(), done, time.Second)
	l.tally.settle()
}

// wait returns when done is closed, ctx ends, or d is over.
func wait(ctx context.Context, done <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (l *load) work(ctx context.Context, worker int) {
	period := time.Second * time.Duration(l.workers) / time.Duration(l.rate)
	offset := time.NewTimer(period * time.Duration(worker) / time.Duration(l.workers))
	defer offset.Stop()
	select {
	case <-ctx.Done():
		return
	case <-offset.C: // spread the workers over the period
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for n := 0; ; n++ {
		l.one(worker, n)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// one makes the worker's nth call and checks its reply.
func (l *load) one(worker, n int) {
	if n%4 == 3 {
		l.deposit(worker, n)
	} else {
		l.compute(worker, n)
	}
}

func (l *load) deposit(worker, n int) {
	args, reply := DepositArgs{ID: fmt.Sprintf("%s/%d/%d", l.prefix, worker, n), Amount: int64(n)}, Receipt{}
	r := result{start: time.Now(), id: args.ID}
	l.tally.begin(args.ID, r.start)
	r.err = l.client.Call("Calc.Deposit", args, &reply)
	r.end = time.Now()
	r.wrong = r.err == nil && (reply.ID != args.ID || reply.Amount != args.Amount)
	r.replica = reply.Replica
	l.tally.record(r)
}

func (l *load) compute(worker, n int) {
	method, args, want := problem(worker, n)
	var reply Answer
	r := result{start: time.Now()}
	l.tally.begin("", r.start)
	r.err = l.client.Call(method, args, &reply)
	r.end = time.Now()
	r.wrong = r.err == nil && reply.Value != want
	r.replica = reply.Replica
	l.tally.record(r)
}

// problem is an arithmetic call whose answer is exact.
func problem(worker, n int) (method string, args Args, want float64) {
	a, b := float64(worker*1000+n), float64(n%7+1)
	switch (worker + n) % 4 {
	case 0:
		return "Calc.Add", Args{a, b}, a + b
	case 1:
		return "Calc.Sub", Args{a, b}, a - b
	case 2:
		return "Calc.Mul", Args{a, b}, a * b
	}
	return "Calc.Div", Args{a * b, b}, a
}

// report sums up the load.
func (l *load) report() *report {
	r := l.tally.report()
	r.client = l.name
	return r
}
