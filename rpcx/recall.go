package rpcx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/oserr"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/transport"
)

// Recall is the answer of a server of [Serve] to the question of what became of a call whose
// connection broke: see "Recall of lost answers" in the package documentation.
type Recall uint8

const (
	// NotRecalled: the server was not asked, because it keeps no answers, or because the
	// connection did not break.
	NotRecalled Recall = iota
	// RecallAnswered: the method has run, and the call has its answer.
	RecallAnswered
	// RecallNotRun is proof that the method has not run and will not. The call may go to
	// another endpoint.
	RecallNotRun
	// RecallForgotten: the server has read the request, and no longer has the answer.
	RecallForgotten
	// RecallServerGone: another process answers at the endpoint's address. The one that had the
	// call has died, or several share the address.
	RecallServerGone
	// RecallUnanswered: the server could not be asked in time, or its answer is larger than the
	// client accepts.
	RecallUnanswered
)

// String returns "not asked", "answered", "not run", "forgotten", "server gone" or
// "unanswered".
func (r Recall) String() string {
	switch r {
	case NotRecalled:
		return "not asked"
	case RecallAnswered:
		return "answered"
	case RecallNotRun:
		return "not run"
	case RecallForgotten:
		return "forgotten"
	case RecallServerGone:
		return "server gone"
	case RecallUnanswered:
		return "unanswered"
	}
	return fmt.Sprintf("Recall(%d)", uint8(r))
}

// Resolved reports whether it is certain what became of the call.
func (r Recall) Resolved() bool { return r == RecallAnswered || r == RecallNotRun }

// why says in an error's text why it is not known what became of the call.
func (r Recall) why() string {
	switch r {
	case RecallForgotten:
		return ": the server has forgotten the call"
	case RecallServerGone:
		return ": another server answers at its address"
	case RecallUnanswered:
		return ": the server could not be asked"
	}
	return ""
}

// session is the name of the connection, if it is known: the zero value if the server gives
// none.
func (c *conn) session() (s protocol.Session, known bool) {
	if p := c.welcome.Load(); p != nil {
		return *p, true
	}
	return s, false
}

// mustGreet reports whether the connection has to be greeted before a request that is to be
// remembered: its server may know how, and has not been asked.
func (c *conn) mustGreet() bool {
	if c.welcome.Load() != nil || c.ep.fixed { // which has no other connection to ask on
		return false
	}
	switch c.Metadata() {
	case codec.MetaUnderstood:
		return true
	case codec.MetaUnknown:
		return c.ep.remembers.Load() > 0 // the server that was there before did
	}
	return false
}

// connection returns the connection for an attempt, as endpoint.connection does, and greets the
// server before it if it is to remember the attempt.
func (a *attempt) connection(ctx context.Context, now time.Time) (*conn, time.Time, error) {
	c, now, err := a.endpoint.connection(ctx, now)
	if err != nil || !a.Keep || !c.mustGreet() {
		return c, now, err
	}
	c.greet(ctx)
	return c, time.Now(), ctx.Err()
}

// greet asks for the session of the connection. It returns early if ctx or the connection ends.
func (c *conn) greet(ctx context.Context) {
	select {
	case c.greeting <- struct{}{}:
		defer func() { <-c.greeting }()
	case <-ctx.Done():
		return
	case <-c.Done():
		return
	}
	if !c.mustGreet() {
		return
	}
	var said protocol.Welcome
	now := time.Now()
	x := &transport.Exchange{Method: protocol.WelcomeMethod, Args: struct{}{}, Reply: &said, Background: true, Started: now, Begun: now}
	out := c.Do(ctx, x)
	s, ok := said.Names()
	switch {
	case out.Cause == transport.Replied && ok && s != (protocol.Session{}):
		c.EnableMeta()
		c.Remember()
		c.ep.remembers.Store(welcomeTries)
		c.welcome.Store(&s)
	case out.Cause == transport.Replied && ok, c.isStock(out):
		c.ep.remembers.Store(0)
		c.welcome.Store(new(protocol.Session))
	case out.Cause == transport.Replied, out.Cause == transport.MethodFailed, out.Cause == transport.ReplyUnreadable:
		c.Fail(errDisorder)
	}
}

// welcomeTries is how many connections in a row must have another answer than a welcome before
// an endpoint that has remembered calls is taken for another kind of server, unless the answer
// names the method: bits may have changed on the way.
const welcomeTries = 3

// isStock reports whether the answer to a greeting is that of a server which keeps no answers.
func (c *conn) isStock(out transport.Outcome) bool {
	if out.Cause != transport.MethodFailed || c.Metadata() == codec.MetaUnderstood {
		return false
	}
	return strings.Contains(out.Err.Error(), protocol.WelcomeMethod) || c.ep.remembers.Add(-1) <= 0
}

// errDisorder ends a connection on which an answer is none to its request.
var errDisorder = errors.New("rpcx: an answer does not fit its request; the stream is in disorder")

const (
	// firstRecallPause is the pause before a server is asked again that could not be asked. It
	// doubles with each further one, up to lastRecallPause.
	firstRecallPause = 10 * time.Millisecond
	lastRecallPause  = 250 * time.Millisecond
	// refusedFor is for how long there may be no listener before the server is given up.
	refusedFor = time.Second
)

// recalling is the question of what became of an attempt.
type recalling struct {
	client  *core
	reply   any
	lost    *conn // of the attempt
	session protocol.Session
	number  uint64
	wait    bool      // the method runs, and its answer is waited for
	limit   time.Time // for anything else
	refused time.Time // since when there is no listener; zero while there may be one
}

// recall asks what became of an attempt whose connection has ended, if its server remembers it,
// and returns what the end of the attempt is then. It asks while limited, the context of the
// attempt, lasts. The hook gets that of the call: the attempt has been reported as done.
func (cl *call) recall(ctx, limited context.Context, res result) result {
	if res.number == 0 {
		if res.sent == MaybeSent {
			cl.recalled = NotRecalled
		}
		return res
	}
	started := time.Now()
	r := &recalling{client: cl.client, reply: cl.reply, lost: res.lost, number: res.number}
	r.session, _ = res.lost.session()
	got, answer := r.run(limited)
	cl.recalled = answer
	res.number, res.at = 0, time.Now()
	switch {
	case answer == RecallAnswered:
		got.lost, res = nil, got
	case answer == RecallNotRun:
		res.end, res.sent = notSent, NotSent
	case isLate(limited, res):
		why := limited.Err()
		if why == nil {
			why = context.DeadlineExceeded
		}
		res.end, res.err = leftFor(why), &lastError{why, res.err}
	case got.end == clientClosed:
		res.end, res.err = clientClosed, ErrShutdown
	}
	cl.tellRecall(ctx, r, answer, res.at.Sub(started))
	return res
}

// tellRecall counts and reports the answer to a question.
func (cl *call) tellRecall(ctx context.Context, r *recalling, answer Recall, took time.Duration) {
	if answer.Resolved() {
		cl.client.resolved.Add(1)
	} else {
		cl.client.unresolved.Add(1)
	}
	if hook := cl.client.dialer.Trace.Recall; hook != nil {
		hook(ctx, RecallInfo{Method: cl.method, Endpoint: r.lost.ep.addr, Attempt: cl.attempts, Answer: answer, Duration: took})
	}
}

// run asks until there is an answer, or none can be expected any more. If the method has
// answered, the result is that.
func (r *recalling) run(ctx context.Context) (result, Recall) {
	r.limit = time.Now().Add(r.client.dialer.DialTimeout)
	if deadline, ok := ctx.Deadline(); ok {
		r.limit = deadline
	}
	pause := firstRecallPause
	for {
		res := r.ask(ctx)
		switch answer, again := r.judge(ctx, res); {
		case answer != NotRecalled:
			return res, answer
		case again:
			continue
		}
		timer := time.NewTimer(min(pause, time.Until(r.limit)))
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-r.client.ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, lastRecallPause)
	}
}

// ask asks once.
func (r *recalling) ask(ctx context.Context) result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limited := ctx
	if !r.wait {
		var stop context.CancelFunc
		try := time.Now().Add(r.client.dialer.DialTimeout)
		limited, stop = context.WithDeadline(ctx, earlier(try, r.limit))
		defer stop()
	}
	c, now, err := r.lost.ep.connection(limited, time.Now())
	if err != nil {
		return unconnected(err)
	}
	if c.mustGreet() {
		c.greet(limited)
	}
	s, known := c.session()
	switch {
	case limited.Err() != nil:
		return unconnected(limited.Err())
	case !known:
		return result{end: notSent, err: errDisorder}
	case !s.SameServer(r.session):
		return result{end: draining, err: protocol.ErrOtherServer}
	}
	x := &transport.Exchange{
		Method: protocol.RecallMethod, Args: protocol.NewRecall(r.session, r.number, r.wait), Reply: r.reply, Started: now,
	}
	if !r.wait {
		deadline, _ := limited.Deadline()
		cancelUnlessItComes(ctx, cancel, c, time.Until(deadline))
	}
	res := c.ask(ctx, now, x)
	if why := refusalOf(res); why != nil && why.SaysNotRun() && !errors.Is(why, r.notRun()) {
		c.Fail(errDisorder) // it is the answer to another question
		return result{end: notSent, err: errDisorder}
	}
	return res
}

// leastOfAnswer is how many bytes of an answer have to come for a try to go on: more than the
// answers to pings.
const leastOfAnswer = 1 << 10

// cancelUnlessItComes cancels a try after a time in which no part of a long answer has come.
func cancelUnlessItComes(ctx context.Context, cancel context.CancelFunc, c *conn, try time.Duration) {
	before := c.Wire().Received()
	time.AfterFunc(try, func() {
		switch {
		case ctx.Err() != nil:
		case c.Wire().Received()-before < leastOfAnswer:
			cancel()
		default:
			cancelUnlessItComes(ctx, cancel, c, c.ep.client.dialer.DialTimeout)
		}
	})
}

// notRun is the answer that the call was not run.
func (r *recalling) notRun() *protocol.Refusal {
	q := protocol.NewRecall(r.session, r.number, r.wait)
	return q.NotRun()
}

// refusalOf returns the refusal with which the server has answered, if it has.
func refusalOf(res result) *protocol.Refusal {
	if res.end != draining {
		return nil
	}
	why, _ := res.err.(*protocol.Refusal) //nolint:errorlint // it is never wrapped
	return why
}

// judge is the answer that a result is; NotRecalled if it is none, and the question may be
// asked again, at once or after a pause.
func (r *recalling) judge(ctx context.Context, res result) (answer Recall, again bool) {
	switch why := refusalOf(res); {
	case res.end == replied, res.end == replyUnreadable, res.end == methodFailed && ctx.Err() == nil:
		return RecallAnswered, false
	case why != nil && why.SaysNotRun():
		return RecallNotRun, false
	case why == protocol.ErrForgotten:
		return RecallForgotten, false
	case why == protocol.ErrOtherServer:
		return RecallServerGone, false
	case why == protocol.ErrRuns:
		r.wait = true
		return NotRecalled, true
	case ctx.Err() != nil, res.end == clientClosed, errors.Is(res.err, errLeft), !time.Now().Before(r.limit) && !r.wait:
		return RecallUnanswered, false
	case errors.As(res.err, new(*codec.FrameError)): // the answer is too large, and ends each connection
		return RecallUnanswered, false
	}
	if r.wait { // and the connection broke meanwhile
		r.wait = false
		if _, ok := ctx.Deadline(); !ok {
			r.limit = time.Now().Add(r.client.dialer.DialTimeout)
		}
	}
	switch {
	case !oserr.IsRefused(res.err):
		r.refused = time.Time{}
	case r.refused.IsZero():
		r.refused = time.Now()
	case time.Since(r.refused) >= refusedFor:
		return RecallUnanswered, false
	}
	return NotRecalled, false
}
