package rpcx

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/rpcx/internal/wire"
)

// flight is an asynchronous call. Nobody waits for it: whoever ends its attempt
// concludes it, and the call, if it is over. Only while it has to wait, in line, for its
// next attempt, a connection or room to write, it has a goroutine of its own.
type flight struct {
	run
	caller   *Client // not collected before the call has ended
	call     *Call
	ctx      context.Context // has no deadline
	deadline time.Time       // zero if there is none

	// What Go waits for if args cannot be copied: that they are written, or that the call
	// has ended. Nil if they are.
	free   chan struct{}
	freed  sync.Once
	handed bool // they are written, and not written again
}

// launch begins a call of Go.
func (c *core) launch(call *Call, caller *Client) {
	if !c.begin() {
		deliver(call, ErrShutdown)
		return
	}
	ctx := context.Background()
	f := &flight{caller: caller, call: call, run: c.newRun(call.ServiceMethod, call.Args, call.Reply)}
	f.ctx = f.start(ctx)
	if !f.guard(func() { f.prepare(ctx) }) {
		return
	}
	if t := f.options.timeout; t > 0 {
		f.deadline = f.started.Add(t)
	}
	if !c.fixed || f.mayQueue() {
		f.keepArgs()
	}
	f.enter()
	if f.free != nil {
		<-f.free
	}
}

// mayQueue reports whether the call may have to wait in line before its only attempt.
func (f *flight) mayQueue() bool {
	return f.client.limit != nil || f.client.room != nil || !f.deadline.IsZero()
}

// keepArgs sees to it that args are the caller's when Go returns, although the call may
// have to be sent later or again. It is called before that.
func (f *flight) keepArgs() {
	c := f.client
	if args, ok := copyArgs(f.args, !c.whole.Load()); ok {
		f.args = args
		return
	}
	f.free = make(chan struct{})
	f.options.hedge = false
}

// release lets Go return, if it waits.
func (f *flight) release() {
	if f.free != nil {
		f.freed.Do(func() { close(f.free) })
	}
}

// enter makes the first attempt, or joins the line for Dialer.MaxCalls.
func (f *flight) enter() {
	if f.admit() {
		f.attempt(f.started)
		return
	}
	l := f.client.limit
	place, err := l.join(l.capacity())
	if err != nil {
		f.end(f.fail(result{err: err, own: true}))
		return
	}
	go f.enterAt(place)
}

func (f *flight) enterAt(place *list.Element) {
	ctx, cancel := f.context()
	defer cancel()
	l := f.client.limit
	if err := l.stand(ctx, f.client.ctx, place, l.take); err != nil {
		f.end(f.fail(result{err: err, own: true}))
		return
	}
	f.admitted()
	f.attempt(time.Now())
}

// attempt makes an attempt, or joins the line for an endpoint.
func (f *flight) attempt(now time.Time) {
	ticket, err := f.placeNow(now)
	if errors.Is(err, balancer.ErrAllFull) {
		var place *list.Element
		if place, err = f.client.room.join(f.client.capacity()); err == nil {
			go f.attemptAt(place)
			return
		}
	}
	f.take(now, ticket, err)
}

func (f *flight) attemptAt(place *list.Element) {
	ctx, cancel := f.context()
	defer cancel()
	ticket, now, err := f.placeAt(ctx, place)
	f.take(now, ticket, err)
}

// take makes an attempt at the endpoint that was picked.
func (f *flight) take(now time.Time, ticket balancer.Ticket, err error) {
	a, res := f.begin(f.ctx, now, ticket, err, false)
	if a == nil {
		f.onward(res)
		return
	}
	if f.sendHedged(a) {
		return
	}
	a.owner = f
	if f.sendNow(a) {
		return
	}
	if f.client.fixed && f.attempts == 1 && !f.mayQueue() {
		f.keepArgs()
		a.args = f.args
	}
	go f.send(a)
}

// sendHedged sends the attempt, and another one if it takes long, unless there is to be
// no hedge or something has to be waited for.
func (f *flight) sendHedged(a *attempt) bool {
	delay := f.hedgeAfter()
	if delay == 0 {
		return false
	}
	x := &race{run: &f.run, ctx: f.ctx, delay: delay, deadline: f.deadline, over: f.onward}
	return x.start(a)
}

// sendNow sends the attempt if nothing has to be waited for.
func (f *flight) sendNow(a *attempt) bool {
	c := a.endpoint.ready(a.started)
	if c == nil {
		return false
	}
	if !f.pay() {
		c.unready()
		f.landed(a, result{err: errSpent, own: true})
		return true
	}
	if f.post(c, a) == nil {
		return true
	}
	c.release()
	return false
}

// post has the attempt written.
func (f *flight) post(c *conn, a *attempt) error {
	if f.free == nil {
		return c.post(a, f.deadline)
	}
	f.handed = true // before it can end
	err := c.post(a, f.deadline)
	if err == nil {
		f.release()
	} else {
		f.handed = false
	}
	return err
}

// send sends the attempt as soon as that is possible.
func (f *flight) send(a *attempt) {
	ctx, cancel := f.context()
	defer cancel()
	c, now, err := a.endpoint.connection(ctx, time.Now())
	if err != nil {
		f.landed(a, unconnected(err))
		return
	}
	if !f.pay() {
		f.landed(a, result{err: errSpent, own: true})
		return
	}
	if !c.enter() {
		f.landed(a, result{err: wire.ErrClosed, own: true})
		return
	}
	for {
		if err = c.room(ctx, now); err == nil {
			err = f.post(c, a)
		}
		switch err { //nolint:errorlint // errFull is made by our tap, never wrapped
		case nil:
			return
		case errFull:
			continue
		}
		f.landed(a, result{err: err, own: true})
		c.release()
		return
	}
}

// landed implements owner.
func (f *flight) landed(a *attempt, res result) { f.onward(f.client.conclude(a, res)) }

// onward ends the call with the result of an attempt, or sees to it that there is
// another one.
func (f *flight) onward(res result) {
	f.ended(res)
	switch {
	case res.err == nil:
		f.end(nil)
	case f.isFinal(res, f.late(res)) || f.handed:
		f.end(f.fail(res))
	default:
		go f.resume(res)
	}
}

// late reports whether the attempt took all the time there was.
func (f *flight) late(res result) bool {
	return !f.deadline.IsZero() && !res.at.Before(f.deadline)
}

// resume asks the policy after an attempt that failed, and makes the next attempt when
// its time has come.
func (f *flight) resume(res result) {
	ctx, cancel := f.context()
	defer cancel()
	var ok bool
	if !f.guard(func() { res, ok = f.again(f.ctx, res, f.deadline) }) {
		return
	}
	if ok {
		res, ok = f.sleep(ctx)
	}
	if !ok {
		f.end(f.fail(res))
		return
	}
	f.attempt(time.Now())
}

// guard calls a function of the user's, at a moment when no attempt is under way. If it
// panics, or ends its goroutine, that becomes the error of the call, and guard
// returns false: it may be on a goroutine of the client's, and end the program.
func (f *flight) guard(function func()) (returned bool) {
	defer func() {
		if returned {
			return
		}
		err := errPanicked // and no value: it called runtime.Goexit
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
		f.end(f.fail(result{err: err, own: true}))
	}()
	function()
	return true
}

// context is for the goroutines that wait.
func (f *flight) context() (context.Context, context.CancelFunc) {
	if f.deadline.IsZero() {
		return f.ctx, func() {}
	}
	return context.WithDeadline(f.ctx, f.deadline)
}

// end ends the call.
func (f *flight) end(err error) {
	defer f.client.end() // after it is delivered
	f.release()
	deliver(f.call, asNetRPC(f.over(f.ctx, err)))
}

// deliver ends a call as net/rpc does: the channel is the caller's to size.
func deliver(call *Call, err error) {
	call.Error = err
	select {
	case call.Done <- call:
	default:
	}
}
