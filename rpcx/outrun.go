package rpcx

import (
	"context"
	"reflect"
	"time"
)

// This file is the hedge by suspicion: a call that waits on an endpoint that becomes suspect
// goes to another one, too, and ends with the first answer. Unlike a race, whose attempts no
// goroutine waits for, it costs a call nothing before that.

// alarmOf is the alarm of the endpoint of an attempt, if the call may be hedged; else nil.
func (cl *call) alarmOf(a *attempt) <-chan struct{} {
	if !cl.mayHedge() {
		return nil
	}
	if ctx := a.endpoint.alarm.context(); ctx != nil {
		return ctx.Done()
	}
	return nil
}

// outrun sends a second attempt, if it can, and waits for the end of the two.
func (cl *call) outrun(ctx context.Context, a *attempt) result {
	p := pair{client: cl.client, reply: cl.reply, under: [2]*attempt{a, cl.hedgeNow(ctx, a)}}
	if b := p.under[1]; b != nil {
		p.own = b.Reply
	}
	return p.wait(a.ctx)
}

// hedgeNow sends a second attempt to another endpoint. It returns nil if none takes one now, or
// it cannot be paid.
func (cl *call) hedgeNow(ctx context.Context, a *attempt) *attempt {
	c := cl.client
	if !c.payHedge() {
		return nil
	}
	first := a.endpoint.addr
	b, conn := cl.secondAttempt(ctx, a.ticket.Node())
	if b == nil {
		c.refundHedge()
		return nil
	}
	b.conn, b.Reply, b.Begun = conn, reflect.New(reflect.TypeOf(cl.reply).Elem()).Interface(), b.Started
	b.Deadline = a.Deadline
	if err := conn.Start(&b.Exchange, time.Time{}); err != nil {
		c.conclude(b, conn.result(conn.NotStarted(err)))
		c.refundHedge()
		return nil
	}
	cl.announce(ctx, b, first, a.Started)
	return b
}

// pair is an attempt at an endpoint that has become suspect, and the one that may outrun it.
type pair struct {
	client *core
	reply  any         // the caller's
	own    any         // the second's
	under  [2]*attempt // nil once ended, or if there is none
	won    bool        // by the second
	over   bool        // res is the result
	res    result      // until then, of those that have failed
}

// wait returns the result of the two. An attempt that loses is given up.
func (p *pair) wait(ctx context.Context) result {
	for !p.over && (p.under[0] != nil || p.under[1] != nil) {
		select {
		case <-p.ended(0):
			p.end(0)
		case <-p.ended(1):
			p.end(1)
		case <-ctx.Done():
			p.abandon(ctx.Err())
		}
	}
	p.abandon(context.Canceled) // before the reply is written
	if p.won {
		reflect.ValueOf(p.reply).Elem().Set(reflect.ValueOf(p.own).Elem())
		p.client.hedgesWon.Add(1)
	}
	return p.res
}

func (p *pair) ended(i int) <-chan struct{} {
	if a := p.under[i]; a != nil {
		return a.Ended()
	}
	return nil
}

// end takes the result of an attempt.
func (p *pair) end(i int) {
	a := p.under[i]
	p.under[i] = nil
	res := p.client.conclude(a, a.conn.result(a.Outcome()))
	switch {
	case p.over:
		p.res = p.res.doubting(res)
	case res.stands(i == 1):
		p.over, p.won, p.res = true, i == 1, res.doubting(p.res)
	default:
		p.res = p.res.and(res)
	}
}

// abandon gives up what is under way.
func (p *pair) abandon(cause error) {
	for i, a := range p.under {
		if a != nil {
			a.conn.Abandon(&a.Exchange, cause)
			p.end(i)
		}
	}
}
