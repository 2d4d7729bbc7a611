package rpcx

import (
	"context"
	"sync"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/callmeta"
	"resilientrpc/rpcx/internal/transport"
)

// attempt is one try of a call at one endpoint.
type attempt struct {
	transport.Exchange
	ctx    context.Context // of the call, or what AttemptStart has made of it
	number int             // counted from 1
	hedge  bool            // it is the second of a race
	// hedgeable says that how long it takes says when to hedge others.
	hedgeable bool
	endpoint  *endpoint
	ticket    balancer.Ticket
	permit    breaker.Permit

	owner owner // nil if a goroutine waits for the end
	conn  *conn // that it was posted on
}

// owner is called at the end of an attempt that no goroutine waits for, by the goroutine
// that brings the end, with no lock held.
type owner interface {
	attemptDone(a *attempt, res result)
}

// Done implements transport.Owner.
func (a *attempt) Done(_ *transport.Exchange, out transport.Outcome) {
	a.owner.attemptDone(a, a.conn.result(out))
}

// info is what is known of the attempt as it begins.
func (a *attempt) info() AttemptInfo {
	return AttemptInfo{Method: a.Method, Endpoint: a.endpoint.addr, Attempt: a.number, Hedge: a.hedge, Started: a.Started}
}

// mark gives an attempt what its request says of the chain of calls that it belongs to.
func (a *attempt) mark(cl *call, hooked bool) {
	a.Retry = a.hedge || cl.options.retry || cl.owes
	chain := cl.options.chain
	if hooked { // and the hook may have set a trace
		chain = callmeta.FromContext(a.ctx)
	}
	if chain != nil && chain.Trace.IsValid() {
		a.Trace = &chain.Trace
	}
}

// wasCut reports whether an error that the method has returned at a time is the work of the
// deadline, which its server knows, and which this side was about to notice.
func (a *attempt) wasCut(at time.Time) bool {
	return !a.Deadline.IsZero() && !at.Before(a.Deadline) && a.endpoint.metaSupport() == codec.MetaUnderstood
}

// An attemptPool keeps attempts for reuse. Each client has its own: a channel
// must not leave the testing/synctest bubble that it was made in.
type attemptPool struct{ sync.Pool }

func (p *attemptPool) get(args, reply any) *attempt {
	a, ok := p.Get().(*attempt)
	if !ok {
		a = new(attempt)
	}
	a.Args, a.Reply = args, reply
	return a
}

// put takes an attempt back that has ended, and keeps it unless it may still be held
// elsewhere.
func (p *attemptPool) put(a *attempt) {
	a.ctx, a.owner, a.conn, a.endpoint = nil, nil, nil, nil
	a.ticket, a.permit = balancer.Ticket{}, breaker.Permit{}
	if a.Reset() {
		a.hedge, a.hedgeable = false, false
		p.Put(a)
	}
}
