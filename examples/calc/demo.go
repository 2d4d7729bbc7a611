package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// replicaNames are the demo's three replicas.
var replicaNames = []string{"A", "B", "C"}

// A demo is the demonstration: a fleet, two clients under the same load, and
// what is done to the fleet meanwhile.
type demo struct {
	wire  wire
	load  loadConfig
	step  time.Duration // of the plot
	work  time.Duration // that each call takes
	list  *list         // of the replicas, if rpcx is to follow one
	debug string        // where the live page is served; empty for nowhere

	fleet   fleet
	clients []*contestant // plain and rpcx
	rpcx    *contestant   // the one that makes a promise
	settled func() uint64 // how many of its deposits a replica was asked about, with an answer
	page    *page
	screen  *screen
	faults  []fault
}

// A contestant is a client with its load and its watch.
type contestant struct {
	load  *load
	watch *watch
}

func newContestant(name string, s subject, cfg loadConfig) *contestant {
	return &contestant{load: newLoad(name, s, cfg), watch: newWatch(s.usage)}
}

// A fault is what was done to a replica.
type fault struct {
	replica *replica
	did     string // "killed"
	undid   string // "restarted"; empty until then
}

func runDemo(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var d demo
	if err := d.parse(args, stdout); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "calc")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system clears it up in time
	if d.fleet, err = startFleet(ctx, d.wire, d.work, dir, stderr, replicaNames...); err != nil {
		return err
	}
	defer d.fleet.kill()
	if err := d.list.prepare(dir, d.fleet); err != nil {
		return err
	}
	defer d.list.remove()
	if err := d.connect(stdout); err != nil {
		return err
	}
	defer d.page.close()
	if err := d.run(ctx); err != nil {
		return err
	}
	return d.judge(stdout)
}

func (d *demo) parse(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	d.wire.register(fs)
	d.wire.registerServer(fs)
	d.load.register(fs)
	fs.DurationVar(&d.step, "step", 2500*time.Millisecond, "time between two events of the demo")
	fs.DurationVar(&d.work, "work", 20*time.Millisecond, "how long each call takes the server")
	fs.StringVar(&d.debug, "debug", "", "`address` of the live page, such as 127.0.0.1:8080")
	resolver := fs.String("resolver", "", "list of the replicas: file (a temporary file), or\nfile:///path, which must not exist yet")
	if err := parse(fs, args, stdout); err != nil {
		return err
	}
	var err error
	if d.list, err = newList(*resolver); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return usagef("unexpected argument %q", fs.Arg(0))
	case d.work < 0:
		return usagef("-work is %v; want 0 or more", d.work)
	}
	return cmp.Or(positive("step", d.step), d.wire.check(), d.load.check())
}

// connect makes both clients.
func (d *demo) connect(stdout io.Writer) error {
	d.screen = newScreen(stdout)
	dialer := d.load.dialer(d.wire)
	dialer.Trace = gossip(d.screen.whisper, d.fleet.nameOf)
	addrs := d.fleet.addrs()
	if d.list != nil {
		addrs = []string{d.list.url()}
	}
	client, err := dialer.Dial("tcp", addrs...)
	if err != nil {
		return err
	}
	if d.page, err = servePage(d.debug, client); err != nil {
		client.Close()
		return err
	}
	if d.page != nil {
		fmt.Fprintf(stdout, "The live page of rpcx: %s\n\n", d.page.url)
	}
	plain := newContestant("plain", newPlain(d.wire, d.fleet.addrs()), d.load)
	d.settled = func() uint64 { return client.Stats().DoubtsResolved }
	d.rpcx = newContestant("rpcx", resilient{client}, d.load)
	d.clients = []*contestant{plain, d.rpcx}
	v := newViewer(d.fleet.nameOf, client, plain.load, d.rpcx.load)
	d.screen.view = v.look
	return nil
}

// run lets the load run while the plot is played. When it returns, all has
// ended that it started.
func (d *demo) run(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var watches sync.WaitGroup
	d.screen.start()
	for _, c := range d.clients {
		watches.Go(func() { c.watch.run(working) })
		c.load.start(working)
	}
	err := d.play(ctx)
	if err != nil {
		d.screen.say("The demo ends early; every replica is stopped.")
		d.fleet.kill() // frees the calls that wait for a frozen one
	}
	stop()
	watches.Wait()
	d.screen.stop()
	return errors.Join(err, d.finish(ctx))
}

func (d *demo) finish(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, c := range d.clients {
		wg.Go(func() { c.load.finish(ctx) })
	}
	wg.Wait()
	return ctx.Err()
}

// report sums up one client's load.
func (d *demo) report(c *contestant, runs map[string][]time.Time) *report {
	r := c.load.report()
	r.audited, r.audit = true, c.load.tally.check(runs)
	for _, f := range d.faults {
		took, ok := c.watch.routed(f.replica.addr)
		r.routed = append(r.routed, lap{f.replica.name + ", " + f.did, took, ok})
	}
	for _, f := range d.faults {
		took, ok := c.load.tally.returned(f.replica.name)
		r.returned = append(r.returned, lap{f.replica.name + ", " + f.undid, took, ok})
	}
	return r
}

// judge prints the reports and fails if rpcx did not keep its promise.
func (d *demo) judge(stdout io.Writer) error {
	runs, err := executions(d.fleet.journals()...)
	if err != nil {
		return err
	}
	plain, rpcx := d.report(d.clients[0], runs), d.report(d.rpcx, runs)
	fmt.Fprintln(stdout)
	writeReports(stdout, plain, rpcx)
	fmt.Fprintln(stdout)
	if err := rpcx.verdict(); err != nil {
		return err
	}
	if n := d.settled(); n > 0 {
		fmt.Fprintln(stdout, wrap("", resolved(n)))
	}
	if n := rpcx.onceFailed[maybeDone]; n > 0 {
		fmt.Fprintln(stdout, wrap("", inDoubt(n)))
	}
	fmt.Fprintln(stdout, wrap("", `rpcx kept its promise: no idempotent call failed, no deposit was executed twice,
		no call hung, every report was true, and every replica that came back is in use.`))
	return nil
}

// inDoubt explains why deposits have failed that may have been executed.
func inDoubt(n int) string {
	was, it, fate := "was", "it", "its"
	if n != 1 {
		was, it, fate = "were", "they", "their"
	}
	return fmt.Sprintf(`%d %s failed with "maybe executed": %s %s under way on a replica that died or froze, and rpcx
		could not learn %s fate in time. It does not repeat what may have been executed.`, n, plural(n, "deposit"), it, was, fate)
}

// resolved explains what became of deposits whose connections broke.
func resolved(n uint64) string {
	was, fate := "was", "its fate"
	if n != 1 {
		was, fate = "were", "their fates"
	}
	return fmt.Sprintf(`%d %s %s under way on a connection that broke. rpcx asked the replica over a new one, and learned %s.`,
		n, plural(int(n), "deposit"), was, fate) //nolint:gosec // it is small
}
