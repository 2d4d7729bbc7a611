package rpcx

import (
	"context"
	"reflect"
	"sync"
	"time"

	"resilientrpc/balancer"
)

// race is an attempt and, if that takes long or its endpoint becomes suspect, its hedge. It owns both, and while it
// lasts the call. It ends with the first answer, or when nothing is under way that
// could bring one; an attempt that ends later reports for itself alone.
type race struct {
	call     *call
	ctx      context.Context // of the call
	delay    time.Duration   // until the hedge; 0 if only the alarm of the endpoint brings it
	deadline time.Time       // zero if there is none
	done     func(result)    // called once at the end, with no lock held

	client  *core
	node    *balancer.Node // of the first attempt
	started time.Time      // likewise

	mu       sync.Mutex  // protects following
	timer    *time.Timer // starts the hedge; nil while there is nothing to hedge
	unwatch  func() bool // stops the wait for the alarm, which starts the hedge, too; likewise
	runners  [2]runner   // the attempt and the hedge
	begun    int         // of them
	under    int         // those that have not ended
	held     int         // how often one is being made, which reads the call and args, or given up: no end before
	answered bool        // res stands, and is winner's
	ended    bool
	res      result
	winner   runner
	cause    error // why the caller has left; nil if it has not
}

// runner is an attempt in a race.
type runner struct {
	attempt *attempt // nil once it has ended
	conn    *conn
	reply   any // its own
	hedge   bool
	posted  bool // it may be given up
}

// start sends the first attempt. It returns false if that cannot be done at once: then
// the attempt is as it was, and done will not be called.
func (x *race) start(a *attempt) bool {
	c := a.endpoint.ready(a.Started)
	if c == nil {
		return false
	}
	if !x.call.pay() {
		return false
	}
	x.client, x.node, x.started, x.held = x.call.client, a.ticket.Node(), a.Started, 1
	x.enter(a, c)
	returned := false
	defer func() {
		if !returned { // a marshaler of the user's has ended the goroutine, and the attempt
			x.release()
		}
	}()
	err := c.post(a, a.Started, x.deadline)
	returned = true
	if err != nil {
		a.owner, a.conn, a.Owner, a.Reply = nil, nil, nil, x.call.reply
		return false
	}
	x.posted()
	c.Release(&a.Exchange)
	x.release()
	x.arm(c.ep)
	return true
}

// arm sees to the start of the hedge, unless the race is over. It comes behind the release: a
// hedge whose time comes before that would not be made.
func (x *race) arm(e *endpoint) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	if x.delay > 0 {
		x.timer = time.AfterFunc(x.delay, x.hedge)
	}
	if ctx := e.alarm.context(); ctx != nil {
		x.unwatch = context.AfterFunc(ctx, x.hedge)
	}
}

// enter makes an attempt one of the race's.
func (x *race) enter(a *attempt, c *conn) {
	a.owner, a.Reply = x, reflect.New(reflect.TypeOf(x.call.reply).Elem()).Interface()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.runners[x.begun] = runner{attempt: a, conn: c, reply: a.Reply, hedge: a.hedge}
	x.begun++
	x.under++
}

// posted says that the attempt that was entered last has been handed to its connection.
func (x *race) posted() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.runners[x.begun-1].posted = true
}

// release says that what held the end of the race up is done. If the caller has left, all that
// is under way is given up before the end, which so has the doubt of both attempts.
func (x *race) release() {
	x.giveUp()
	x.mu.Lock()
	x.held--
	over := x.isOver()
	x.mu.Unlock()
	if over {
		x.finish()
	}
}

// hedge makes the second attempt, unless there is one, if the caller still waits for it and
// it can be paid.
func (x *race) hedge() {
	x.mu.Lock()
	wanted := !x.ended && x.cause == nil && x.held == 0 && x.begun == 1
	if wanted {
		x.held++
	}
	x.mu.Unlock()
	if !wanted {
		return
	}
	defer x.release() // even if a marshaler of the user's ends the goroutine
	if x.client.payHedge() && !x.second() {
		x.client.refundHedge()
	}
}

// second makes the second attempt. It returns false if there is none, or none that its
// connection took: that one ends like any other, but is no hedge, and the call may yet
// have one.
func (x *race) second() bool {
	first := x.call.endpoint
	a, c := x.call.secondAttempt(x.ctx, x.node)
	if a == nil {
		return false
	}
	x.enter(a, c)
	if err := c.post(a, a.Started, x.deadline); err != nil {
		x.attemptDone(a, c.result(c.NotStarted(err)))
		return false
	}
	x.posted()
	x.call.announce(x.ctx, a, first, x.started) // its end waits for Release, however fast the answer is
	c.Release(&a.Exchange)
	return true
}

// attemptDone implements owner.
func (x *race) attemptDone(a *attempt, res result) {
	r := x.remove(a)
	res = x.client.conclude(a, res)
	x.mu.Lock()
	x.add(r, res)
	over := x.isOver()
	x.mu.Unlock()
	if over {
		x.finish()
	}
}

// remove forgets an attempt that has ended and is about to be used again, which it
// must not be if it may be about to be given up, or cancelled.
func (x *race) remove(a *attempt) runner {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := 0
	if x.runners[1].attempt == a {
		i = 1
	}
	r := x.runners[i]
	x.runners[i].attempt = nil
	if x.cause != nil || x.ended {
		a.Share()
	}
	return r
}

// add takes the result of an attempt. The caller holds mu.
func (x *race) add(r runner, res result) {
	x.under--
	switch {
	case x.ended:
	case x.answered:
		x.res = x.res.doubting(res)
	case res.stands(r.hedge):
		x.answered, x.winner, x.res = true, r, res.doubting(x.res)
	default:
		x.res = x.res.and(res)
	}
}

// stands reports whether the result of one of two attempts is that of both: an answer, and an
// error of the first attempt that any other would end with, too. One of the hedge may be its
// endpoint's alone.
func (r result) stands(hedge bool) bool {
	return r.end == replied || !hedge && !r.mayRepeat(true)
}

// and is the failure of two attempts: the doubt over both, and the error that says
// more of a server. The first may be none.
func (r result) and(later result) result {
	out := later
	if r.err != nil && !r.ours() && later.ours() {
		out = r
		out.at = later.at
	}
	return out.doubting(r).doubting(later)
}

// doubting is r with the doubt over another attempt, too.
func (r result) doubting(other result) result {
	r.sent = max(r.sent, other.sent)
	return r
}

// isOver reports, once, that the race is. The caller holds mu, and calls finish without. An
// attempt that goes on may still run, whatever the one that has failed proves of itself.
func (x *race) isOver() bool {
	if x.ended || x.held > 0 || !x.answered && x.under > 0 {
		return false
	}
	x.ended = true
	if x.under > 0 {
		x.res = x.res.doubting(result{sent: MaybeSent})
	}
	return true
}

// finish gives the winner's reply to the caller, which waits for done. An attempt that is
// still under way must not keep what is the caller's.
func (x *race) finish() {
	if x.timer != nil {
		x.timer.Stop()
	}
	if x.unwatch != nil {
		x.unwatch()
	}
	if x.answered && x.res.end == replied {
		reflect.ValueOf(x.call.reply).Elem().Set(reflect.ValueOf(x.winner.reply).Elem())
	}
	if x.answered && x.winner.hedge {
		x.client.hedgesWon.Add(1)
	}
	x.cancelLosers()
	done := x.done
	x.call, x.ctx, x.done = nil, nil, nil
	done(x.res)
}

// cancelLosers tells the servers of the attempts that are still under way that their answers
// are of no use, if they understand that. The attempts report for themselves.
func (x *race) cancelLosers() {
	x.mu.Lock()
	runners := x.runners
	x.mu.Unlock()
	for _, r := range runners {
		if r.attempt != nil {
			r.conn.Cancel(&r.attempt.Exchange)
		}
	}
}

// leave ends the race, soon, because the caller leaves.
func (x *race) leave(cause error) {
	x.mu.Lock()
	x.cause = cause
	x.held++
	x.mu.Unlock()
	x.release()
}

// giveUp gives up what is under way, if the caller has left. An attempt that is being handed to
// its connection is given up by the release that follows.
func (x *race) giveUp() {
	x.mu.Lock()
	runners, cause := x.runners, x.cause
	x.mu.Unlock()
	for _, r := range runners {
		if cause != nil && r.attempt != nil && r.posted {
			r.conn.GiveUp(&r.attempt.Exchange, cause)
		}
	}
}
