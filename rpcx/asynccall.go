package rpcx

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/rpcx/internal/argcopy"
	"resilientrpc/rpcx/internal/queue"
	"resilientrpc/rpcx/internal/transport"
)

// asyncCall is a call of Go. No goroutine waits for it: the one that ends its attempt
// concludes that, and the call, if it is over. Only while it has to wait, in a queue, for
// its next attempt, a connection or room to write, it has a goroutine of its own.
type asyncCall struct {
	call
	caller   *Client // not collected before the call has ended
	result   completion
	ctx      context.Context // has no deadline
	deadline time.Time       // zero if there is none

	// What Go waits for if args cannot be copied: that they are written, or that the call
	// has ended. Nil if they are copied.
	free    chan struct{}
	freed   sync.Once
	written bool // they are, and are not written again
}

// completion gets the error of a call of Go when the call has ended.
type completion interface{ complete(err error) }

// start begins a call of Go.
func (c *core) start(method string, args, reply any, result completion, caller *Client) {
	if !c.begin() {
		result.complete(ErrShutdown)
		return
	}
	if c.dialer.Intercept != nil {
		c.startIntercepted(method, args, reply, result, caller)
		return
	}
	ctx := context.Background()
	a := &asyncCall{caller: caller, result: result, call: c.newCall(method, args, reply)}
	if a.ctx = a.begin(ctx); a.ctx.Done() != nil { // the hook's, of which only the values are used
		a.ctx = context.WithoutCancel(a.ctx)
	}
	if !a.guard(func() { a.prepare(ctx) }) {
		return
	}
	if t := a.options.timeout; t > 0 {
		a.deadline = a.started.Add(t)
	}
	if !c.fixed || a.mayQueue() {
		a.keepArgs()
	}
	a.admit()
	if a.free != nil {
		<-a.free
	}
}

// mayQueue reports whether the call may have to wait in a queue before its only attempt.
func (a *asyncCall) mayQueue() bool {
	return a.client.limit != nil || a.client.room != nil || !a.deadline.IsZero()
}

// keepArgs sees to it that args are the caller's when Go returns, although the call may
// have to be sent later or again. It is called before that.
func (a *asyncCall) keepArgs() {
	c := a.client
	if args, ok := argcopy.Copy(a.args, !c.whole.Load()); ok {
		a.args = args
		return
	}
	a.free = make(chan struct{})
	a.options.hedge = false
}

// release lets Go return, if it waits.
func (a *asyncCall) release() {
	if a.free != nil {
		a.freed.Do(func() { close(a.free) })
	}
}

// admit makes the first attempt, or joins the queue for Dialer.MaxCalls.
func (a *asyncCall) admit() {
	if a.tryAdmit() {
		a.next(a.started)
		return
	}
	l := a.client.limit
	place, err := l.Enqueue(l.Capacity())
	if err != nil {
		a.end(a.refuse(err))
		return
	}
	go a.admitFrom(place)
}

func (a *asyncCall) admitFrom(place queue.Place) {
	ctx, cancel := a.context()
	defer cancel()
	l := a.client.limit
	if err := l.WaitAt(ctx, a.client.ctx, place, l.Take); err != nil {
		a.end(a.refuse(err))
		return
	}
	a.admitted()
	a.next(time.Now())
}

// next makes an attempt, or joins the queue for an endpoint.
func (a *asyncCall) next(now time.Time) {
	ticket, err := a.pickNow(now)
	if errors.Is(err, balancer.ErrAllFull) {
		var place queue.Place
		if place, err = a.client.room.Enqueue(a.client.capacity()); err == nil {
			go a.nextFrom(place)
			return
		}
	}
	a.send(now, ticket, err)
}

func (a *asyncCall) nextFrom(place queue.Place) {
	ctx, cancel := a.context()
	defer cancel()
	ticket, now, err := a.pickAt(ctx, place)
	a.send(now, ticket, err)
}

// send makes an attempt at the endpoint that was picked.
func (a *asyncCall) send(now time.Time, ticket balancer.Ticket, err error) {
	try, res := a.allow(a.ctx, now, ticket, err, false)
	if try == nil {
		a.conclude(res)
		return
	}
	if a.sendHedged(try) {
		return
	}
	try.owner = a
	if a.sendNow(try) {
		return
	}
	if a.client.fixed && a.attempts == 1 && !a.mayQueue() {
		a.keepArgs()
		try.Args = a.args
	}
	go a.sendLater(try)
}

// sendHedged sends the attempt, and another one if it takes long or its endpoint becomes
// suspect, unless there is to be no hedge or something has to be waited for.
func (a *asyncCall) sendHedged(try *attempt) bool {
	delay := a.hedgeAfter()
	if delay == 0 && (!a.mayHedge() || try.endpoint.alarm.context() == nil) {
		return false
	}
	x := &race{call: &a.call, ctx: a.ctx, delay: delay, deadline: a.deadline, done: a.conclude}
	return x.start(try)
}

// sendNow sends the attempt if nothing has to be waited for.
func (a *asyncCall) sendNow(try *attempt) bool {
	c := try.endpoint.ready(try.Started)
	if c == nil || try.Keep && c.mustGreet() {
		return false
	}
	if !a.pay() {
		a.attemptDone(try, result{end: turnedAway, err: errSpent})
		return true
	}
	return a.post(c, try, try.Started) == nil
}

// post has the attempt written.
func (a *asyncCall) post(c *conn, try *attempt, now time.Time) error {
	if a.free != nil {
		a.written = true // before it can end
	}
	if err := c.post(try, now, a.deadline); err != nil {
		a.written = false
		return err
	}
	if a.free != nil {
		a.release()
	}
	c.Release(&try.Exchange)
	return nil
}

// sendLater sends the attempt as soon as that is possible.
func (a *asyncCall) sendLater(try *attempt) {
	ctx, cancel := a.context()
	defer cancel()
	c, now, err := try.connection(ctx, time.Now())
	if err != nil {
		a.attemptDone(try, unconnected(err))
		return
	}
	if !a.pay() {
		a.attemptDone(try, result{end: turnedAway, err: errSpent})
		return
	}
	for {
		err := c.Room(ctx)
		if err == nil {
			err = a.post(c, try, now)
		}
		switch err { //nolint:errorlint // ErrNoRoom is never wrapped
		case nil:
			return
		case transport.ErrNoRoom:
			continue
		}
		a.attemptDone(try, c.result(c.NotStarted(err)))
		return
	}
}

// attemptDone implements owner.
func (a *asyncCall) attemptDone(try *attempt, res result) { a.conclude(a.client.conclude(try, res)) }

// conclude ends the call with the result of an attempt, or sees to it that there is
// another one. If the server is to be asked what became of it, that takes a goroutine.
func (a *asyncCall) conclude(res result) {
	if res.number == 0 {
		a.concludeKnown(res)
		return
	}
	go func() {
		ctx, cancel := a.context()
		defer cancel()
		a.concludeKnown(a.recall(a.ctx, ctx, res))
	}()
}

func (a *asyncCall) concludeKnown(res result) {
	a.attemptEnded(res)
	switch {
	case res.end == replied:
		a.end(nil)
	case a.isFinal(res, a.isLate(res)) || a.written:
		a.end(a.fail(res))
	default:
		go a.repeat(res)
	}
}

// isLate reports whether the attempt took all the time there was.
func (a *asyncCall) isLate(res result) bool {
	return !a.deadline.IsZero() && !res.at.Before(a.deadline)
}

// repeat asks the policy after an attempt that failed, and makes the next attempt when
// its time has come.
func (a *asyncCall) repeat(res result) {
	ctx, cancel := a.context()
	defer cancel()
	var err error
	var ok bool
	if !a.guard(func() {
		if err, ok = a.again(a.ctx, res, a.deadline); ok {
			err, ok = a.sleep(ctx)
		}
	}) {
		return
	}
	if !ok {
		a.end(err)
		return
	}
	a.next(time.Now())
}

// guard calls a function of the user's, at a moment when no attempt is under way. If it
// panics, or ends its goroutine, that becomes the error of the call, and guard
// returns false: it may be on a goroutine of the client's, and end the program.
func (a *asyncCall) guard(function func()) (returned bool) {
	defer func() {
		if returned {
			return
		}
		err := errPanicked // and no value: it called runtime.Goexit
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
		a.end(a.refuse(err))
	}()
	function()
	return true
}

// context is for the goroutines that wait.
func (a *asyncCall) context() (context.Context, context.CancelFunc) {
	if a.deadline.IsZero() {
		return a.ctx, func() {}
	}
	return context.WithDeadline(a.ctx, a.deadline)
}

// end ends the call.
func (a *asyncCall) end(err error) {
	defer a.client.end() // after it is complete
	a.release()
	a.result.complete(a.finish(a.ctx, err))
}

// goCall is a Call of net/rpc's.
type goCall Call

// complete implements completion as net/rpc does: the channel is the caller's to size.
func (call *goCall) complete(err error) {
	call.Error = asNetRPC(err)
	select {
	case call.Done <- (*Call)(call):
	default:
	}
}
