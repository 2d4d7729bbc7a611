package main

import (
	"context"
	"time"
)

// patience bounds how much longer than a step the end of the demo waits for
// replicas to be used again.
const patience = 5 * time.Second

// An event is one step of the plot.
type event struct {
	text string // what happens, and what to look for
	do   func(ctx context.Context) error
}

// plot is what happens to the fleet, one event every d.step.
func (d *demo) plot() []event {
	a, b := d.fleet[0], d.fleet[1]
	kill := event{
		"A is killed (SIGKILL): its connections break, its port refuses new ones.",
		func(context.Context) error {
			return d.damage(a, "killed", func() error { a.kill(); return nil })
		},
	}
	restart := event{
		"A is started again on its old port.",
		func(ctx context.Context) error {
			return d.mend(a, "restarted", func() error { return a.start(ctx) })
		},
	}
	freeze := event{
		"B is frozen (SIGSTOP): its connections stay open, and nothing answers.",
		func(context.Context) error { return d.damage(b, "frozen", b.freeze) },
	}
	thaw := event{
		"B goes on (SIGCONT), and answers what has piled up.",
		func(context.Context) error { return d.mend(b, "continued", b.thaw) },
	}
	idle := event{"", func(context.Context) error { return nil }}
	if !canFreeze {
		d.screen.say("This system has no SIGSTOP: the demo leaves out freezing a replica.")
		return []event{kill, restart}
	}
	return []event{kill, restart, freeze, idle, thaw}
}

// play lets the plot happen.
func (d *demo) play(ctx context.Context) error {
	d.screen.say("Replicas A, B and C are up. Each client makes %d calls a second, every fourth", d.load.rate)
	d.screen.say("a deposit, which must not be executed twice. All else is idempotent.")
	for _, e := range d.plot() {
		if err := pause(ctx, d.step); err != nil {
			return err
		}
		if e.text != "" {
			d.screen.say("%s", e.text)
		}
		if err := e.do(ctx); err != nil {
			return err
		}
	}
	if err := d.awaitReturns(ctx); err != nil {
		return err
	}
	d.screen.say("The load stops, and the replicas' journals are counted.")
	return nil
}

// awaitReturns lets the clients go on for a step, and then for as long as rpcx
// has not used a replica again that is back, within reason.
func (d *demo) awaitReturns(ctx context.Context) error {
	if err := pause(ctx, d.step); err != nil {
		return err
	}
	x := d.clients[len(d.clients)-1]
	for end := time.Now().Add(patience); time.Now().Before(end); {
		missing := false
		for _, f := range d.faults {
			_, ok := x.load.tally.returned(f.replica.name)
			missing = missing || !ok
		}
		if !missing {
			break
		}
		if err := pause(ctx, watchPeriod); err != nil {
			return err
		}
	}
	return nil
}

// damage does something to a replica, under the eyes of the watches.
func (d *demo) damage(r *replica, did string, do func() error) error {
	d.faults = append(d.faults, fault{replica: r, did: did})
	now := time.Now()
	for _, c := range d.clients {
		c.watch.begin(r.addr, now)
	}
	return do()
}

// mend undoes it. From now on the replica ought to be used again.
func (d *demo) mend(r *replica, undid string, undo func() error) error {
	now := time.Now()
	for _, c := range d.clients {
		c.watch.end(r.addr, now)
	}
	if err := undo(); err != nil {
		return err
	}
	now = time.Now()
	for _, c := range d.clients {
		c.load.tally.expect(r.name, now)
	}
	for i := range d.faults {
		if d.faults[i].replica == r {
			d.faults[i].undid = undid
		}
	}
	return nil
}

// pause waits for d, or for ctx to end, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
