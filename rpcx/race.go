package rpcx

import (
	"context"
	"reflect"
	"sync"
	"time"

	"resilientrpc/balancer"
)

// race is an attempt and, if that takes long, its hedge. It owns both, and while it
// lasts the run. It ends with the first answer, or when nothing is under way that
// could bring one; an attempt that lands later reports for itself alone.
type race struct {
	run      *run
	ctx      context.Context // of the call
	delay    time.Duration   // until the hedge
	deadline time.Time       // zero if there is none
	over     func(result)    // told once of the end, with no lock held

	client *core
	node   *balancer.Node // of the first attempt

	mu       sync.Mutex  // protects following
	timer    *time.Timer // starts the hedge; nil while there is nothing to hedge
	runners  [2]runner   // the attempt and the hedge
	begun    int         // of them
	under    int         // those that have not landed
	sending  bool        // one is being made, which reads the run and args: no end before
	answered bool        // res stands, and is winner's
	ended    bool
	res      result
	winner   runner
	cause    error // why the caller has left; nil if he has not
}

// runner is an attempt in a race.
type runner struct {
	attempt *attempt // nil once it has landed
	conn    *conn
	reply   any // its own
	hedge   bool
}

// start sends the first attempt. It returns false if that cannot be done at once: then
// the attempt is as it was, and the race will not be over.
func (x *race) start(a *attempt) bool {
	c := a.endpoint.ready(a.started)
	if c == nil {
		return false
	}
	if !x.run.pay() {
		c.unready()
		return false
	}
	x.client, x.node, x.sending = x.run.client, a.ticket.Node(), true
	x.enter(a, c)
	if c.post(a, x.deadline) != nil {
		a.owner, a.reply = nil, x.run.reply
		c.release()
		return false
	}
	x.mu.Lock()
	if x.under > 0 {
		x.timer = time.AfterFunc(x.delay, x.hedge)
	}
	x.mu.Unlock()
	x.sent()
	return true
}

// enter makes an attempt one of the race's.
func (x *race) enter(a *attempt, c *conn) {
	a.owner, a.reply = x, reflect.New(reflect.TypeOf(x.run.reply).Elem()).Interface()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.runners[x.begun] = runner{a, c, a.reply, a.hedge}
	x.begun++
	x.under++
}

// sent says that nothing is being made any more.
func (x *race) sent() {
	x.mu.Lock()
	x.sending = false
	gone, over := x.cause != nil, x.isOver()
	x.mu.Unlock()
	if gone {
		x.drop()
	}
	if over {
		x.end()
	}
}

// hedge makes the second attempt, if somebody still waits for it and it can be paid.
func (x *race) hedge() {
	x.mu.Lock()
	x.sending = !x.ended && x.cause == nil
	wanted := x.sending
	x.mu.Unlock()
	if !wanted {
		return
	}
	if x.client.payHedge() && !x.second() {
		x.client.refundHedge()
	}
	x.sent()
}

// second makes the second attempt. It returns false if there is none, or none that its
// connection took: that one ends like any other, but is no hedge, and the call may yet
// have one.
func (x *race) second() bool {
	first := x.run.endpoint
	a, c := x.run.secondAttempt(x.ctx, x.node)
	if a == nil {
		return false
	}
	x.enter(a, c)
	if err := c.submit(a, x.deadline); err != nil {
		x.landed(a, result{err: err, own: true})
		c.release()
		return false
	}
	x.announce(a, first)
	c.meet(a)
	return true
}

// announce counts and tells of the hedge. It has been sent, and not ended: that waits for
// meet, however fast the answer is.
func (x *race) announce(a *attempt, first string) {
	x.run.hedged = true
	x.client.hedges.Add(1)
	if hook := x.client.dialer.Trace.Hedge; hook != nil {
		hook(x.ctx, HedgeInfo{Method: a.method, Attempt: a.number, Endpoint: a.endpoint.addr, First: first, Delay: x.delay})
	}
}

// landed implements owner.
func (x *race) landed(a *attempt, res result) {
	who := x.leave(a)
	res = x.client.conclude(a, res)
	x.mu.Lock()
	x.take(who, res)
	over := x.isOver()
	x.mu.Unlock()
	if over {
		x.end()
	}
}

// leave forgets an attempt that has landed and is about to be used again, which it
// must not be if the caller has left and may be about to drop it.
func (x *race) leave(a *attempt) runner {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := 0
	if x.runners[1].attempt == a {
		i = 1
	}
	who := x.runners[i]
	x.runners[i].attempt = nil
	if x.cause != nil {
		a.borrowed = true
	}
	return who
}

// take takes the result of an attempt. An answer stands, and so does an error of the
// first attempt that any other would end with, too; one of the hedge may be its endpoint's
// alone. The caller holds mu.
func (x *race) take(who runner, res result) {
	x.under--
	switch {
	case x.answered:
	case res.err == nil || !who.hedge && !mayRepeat(res, true):
		x.answered, x.winner, x.res = true, who, res
	default:
		x.res = x.res.and(res)
	}
}

// and is the failure of two attempts: the doubt over both, and the error that says
// more of a server.
func (r result) and(later result) result {
	later.sent = max(r.sent, later.sent)
	if r.err != nil && !r.own && later.own {
		later.err, later.own = r.err, false
	}
	return later
}

// isOver reports, once, that the race is. The caller holds mu, and calls end without.
func (x *race) isOver() bool {
	if x.ended || x.sending || !x.answered && x.under > 0 {
		return false
	}
	x.ended = true
	return true
}

// end gives the winner's reply to the caller, who waits for over. An attempt that is
// still under way must not keep what is the caller's.
func (x *race) end() {
	if x.timer != nil {
		x.timer.Stop()
	}
	if x.answered && x.res.err == nil {
		reflect.ValueOf(x.run.reply).Elem().Set(reflect.ValueOf(x.winner.reply).Elem())
	}
	if x.answered && x.winner.hedge {
		x.client.hedgesWon.Add(1)
	}
	over := x.over
	x.run, x.ctx, x.over = nil, nil, nil
	over(x.res)
}

// abandon ends the race, soon, because the caller leaves.
func (x *race) abandon(cause error) {
	x.mu.Lock()
	x.cause = cause
	x.mu.Unlock()
	x.drop()
}

// drop gives up what is under way.
func (x *race) drop() {
	x.mu.Lock()
	runners, cause := x.runners, x.cause
	x.mu.Unlock()
	for _, r := range runners {
		if r.attempt != nil {
			r.conn.drop(r.attempt, cause)
		}
	}
}
