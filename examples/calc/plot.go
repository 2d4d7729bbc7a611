package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// patience bounds how much longer than it has to the demo waits for rpcx to leave a replica
// alone, or to use it again.
const patience = 5 * time.Second

// plot is what is done to the fleet, in order. rpcx has left a replica before that is mended,
// and it is in use again before the next is disturbed, so that what a client does about each
// fault can be measured, also on a machine that is slow.
func (d *demo) plot() []func(context.Context) error {
	a, b := d.fleet[0], d.fleet[1]
	acts := []func(context.Context) error{
		d.introduce, d.idle, d.kill(a), d.left(a, d.step), d.restart(a), d.inUse(a),
	}
	if canFreeze {
		// For a call that waits all the while, that is long enough to count as hung.
		acts = append(acts, d.freeze(b), d.left(b, d.load.bound+d.step/5), d.thaw(b), d.inUse(b))
	}
	if d.list != nil {
		c := d.fleet[2]
		acts = append(acts, d.unlist(c), d.left(c, d.step), d.relist(c), d.inUse(c))
	}
	return acts
}

// play carries out the plot.
func (d *demo) play(ctx context.Context) error {
	for _, act := range d.plot() {
		if err := act(ctx); err != nil {
			return err
		}
	}
	d.screen.say("The load stops. The replicas' journals are compared with what the clients report.")
	return nil
}

func (d *demo) introduce(context.Context) error {
	d.screen.say("Replicas A, B and C are up. Each client makes %d %s a second. Every fourth is a deposit, "+
		"which must not be executed twice; the others are idempotent.", d.load.rate, plural(d.load.rate, "call"))
	if !canFreeze {
		d.screen.say("This system has no SIGSTOP: no replica is frozen.")
	}
	return nil
}

func (d *demo) idle(ctx context.Context) error { return pause(ctx, d.step) }

func (d *demo) kill(r *replica) func(context.Context) error {
	return func(context.Context) error {
		d.screen.say("%s is killed (SIGKILL): its connections break, and new ones are refused.", r.name)
		return d.damage(r, "killed", func() error { r.kill(); return nil })
	}
}

func (d *demo) restart(r *replica) func(context.Context) error {
	return func(ctx context.Context) error {
		d.screen.say("%s is started again on its old port.", r.name)
		return d.mend(r, "restarted", func() error { return r.start(ctx) })
	}
}

func (d *demo) freeze(r *replica) func(context.Context) error {
	return func(context.Context) error {
		d.screen.say("%s is frozen (SIGSTOP): its connections stay open, and nothing answers.", r.name)
		return d.damage(r, "frozen", r.freeze)
	}
}

func (d *demo) thaw(r *replica) func(context.Context) error {
	return func(context.Context) error {
		d.screen.say("%s continues (SIGCONT), and answers the calls that have waited.", r.name)
		return d.mend(r, "continued", r.thaw)
	}
}

// unlist takes a replica off the list, as before a planned stop, and waits until rpcx
// has left it.
func (d *demo) unlist(r *replica) func(context.Context) error {
	return func(ctx context.Context) error {
		d.screen.say("%s is taken off the list, %s. It keeps running.", r.name, d.list.path)
		return d.damage(r, "unlisted", func() error {
			return d.listed(ctx, slices.DeleteFunc(slices.Clone(d.fleet), func(other *replica) bool { return other == r }))
		})
	}
}

func (d *demo) relist(r *replica) func(context.Context) error {
	return func(ctx context.Context) error {
		d.screen.say("%s is put back on the list.", r.name)
		return d.mend(r, "listed", func() error { return d.listed(ctx, d.fleet) })
	}
}

// listed writes the list, and waits until rpcx has read it.
func (d *demo) listed(ctx context.Context, f fleet) error {
	begin := time.Now()
	if err := d.list.write(f); err != nil {
		return err
	}
	for len(d.rpcx.watch.usage()) != len(f) {
		if time.Since(begin) > patience {
			return fmt.Errorf("rpcx has not read %s within %v", d.list.path, patience)
		}
		if err := pause(ctx, watchPeriod); err != nil {
			return err
		}
	}
	d.screen.say("rpcx has read the list after %v.", time.Since(begin).Round(time.Millisecond))
	return nil
}

// left waits for so long, and then for rpcx to have left the replica alone, within reason.
func (d *demo) left(r *replica, least time.Duration) func(context.Context) error {
	return await(least, func() bool { return d.rpcx.watch.leftAlone(r.addr, time.Now()) })
}

// inUse waits for a step, and then for rpcx to use the replica, within reason.
func (d *demo) inUse(r *replica) func(context.Context) error {
	return await(d.step, func() bool {
		_, ok := d.rpcx.load.tally.returned(r.name)
		return ok
	})
}

// await waits for so long, and then until it is so, but no longer than patience.
func await(least time.Duration, so func() bool) func(context.Context) error {
	return func(ctx context.Context) error {
		err := pause(ctx, least)
		for end := time.Now().Add(patience); err == nil && !so() && time.Now().Before(end); {
			err = pause(ctx, watchPeriod)
		}
		return err
	}
}

// damage does something to a replica, under the eyes of the watches.
func (d *demo) damage(r *replica, did string, do func() error) error {
	now := time.Now()
	d.faults = append(d.faults, fault{replica: r, did: did})
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
