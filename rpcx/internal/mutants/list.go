package main

// A mutant is one change of the source that breaks a rule.
type mutant struct {
	rule     string // as it is kept, in a few words
	file     string
	old, new string
}

const (
	retry   = "rpcx/retry.go"
	run     = "rpcx/run.go"
	attempt = "rpcx/attempt.go"
	conn    = "rpcx/conn.go"
	post    = "rpcx/post.go"
	hedge   = "rpcx/hedge.go"
	race    = "rpcx/race.go"
	writer  = "rpcx/internal/wire/wire.go"
	flush   = "rpcx/internal/wire/flush.go"
	ending  = "rpcx/internal/wire/close.go"
	stream  = "rpcx/internal/server/stream.go"
	served  = "rpcx/internal/server/conn.go"
	worker  = "rpcx/internal/server/worker.go"
	request = "rpcx/internal/server/request.go"
)

var mutants = []mutant{
	// What may be repeated.
	{"a closed client repeats nothing", retry, "return false // the client is gone", "return true"},
	{"a method's own error is not repeated", retry, "return false // the method ran and said no", "return true"},
	{"what the throttle or a cap refused is not repeated", retry, "return false // it would defeat the purpose", "return true"},
	{"what cannot be encoded or decoded is not repeated", retry, "return false // it would fail again", "return true"},
	{"what was not sent goes to another endpoint", retry, "return true // no server has seen it", "return idempotent"},
	{"what may have run is repeated only if idempotent", retry, "return idempotent // it may have run", "return true"},
	{"what may have run is repeated if idempotent", retry, "return idempotent // it may have run", "return false"},
	{"a caller who has gone gets no repetition", run, "return gone || !mayRepeat", "return !mayRepeat"},
	{"a repetition is paid for", run, "r.paid = r.client.budget.withdraw(); r.paid", "r.paid = true; r.paid"},
	{"what repeats only refusals of ours is free", run, "if !r.owes || r.paid {", "if r.attempts == 1 || r.paid {"},
	{"what repeats refusals of a server is paid for", run, "return protocol.IsRefusal(res.err) || answerOf(res.err) != codec.NoAnswer", "return protocol.IsRefusal(res.err) && answerOf(res.err) != codec.NoAnswer"},
	{"what was not sent is not paid for", run, "r.client.budget.refund()", "_ = 0"},
	{"a spent budget ends a call before it waits", run, "r.owes && r.client.budget.isSpent()", "false"},
	{"a refused call does not spin", run, "r.wait = max(r.wait, leastWait)", "_ = 0"},
	{"attempts are bounded", run, "r.rounds >= r.client.dialer.Retry.MaxAttempts", "false"},
	{"a call that is a retry itself is tried once", run, "if r.options.retry || r.rounds", "if r.rounds"},
	{"moving to another endpoint is bounded", run, "r.moved >= len(r.client.balancer.Nodes())", "false"},
	{"nothing sleeps past the deadline", run, "time.Until(deadline) <= r.wait", "time.Until(deadline) <= 0"},
	{"the doubt of all attempts is reported", run, "r.sent = max(r.sent, res.sent)", "r.sent = res.sent"},
	{"the last real error is kept", run, "r.last = res.err", "_ = res.err"},

	// Who ends an attempt.
	{"one who gives up a queued attempt withdraws it (CAS)", attempt, "if a.state.CompareAndSwap(queued, state) {", "if a.state.Load() == queued {\n\t\ta.state.Store(written)\n\t\ta.state.Store(state)"},
	{"withdrawn before it was written: not sent", attempt, "a.unseen = true", "a.unseen = false"},
	{"giving up and being answered exclude each other (CAS)", attempt, "return a.state.CompareAndSwap(written, state)", "a.state.Store(state)\n\treturn true"},
	{"the reader decodes only what nobody has given up (CAS)", attempt, "if !a.state.CompareAndSwap(written, decoding) {", "if a.state.Swap(decoding) == queued {"},
	{"a withdrawn attempt is not written (CAS)", attempt, "if !a.state.CompareAndSwap(queued, written) {", "if a.state.Swap(written) == written {"},
	{"a reply to a number that was not given out ends the connection", attempt, "t.seq >= t.issued.Load()", "false"},
	{"a reply that comes again is ignored", attempt, "t.seq >= t.issued.Load()", "!ok"},
	{"an attempt that another may hold is not reused", attempt, "if a.borrowed {", "if false {"},
	{"the owner is told once, by the second", post, "if a.met.Add(1) < 2 {", "if a.met.Add(1) < 1 {"},
	{"a refused attempt ends once (CAS)", post, "a.refusal != errFull && a.finish(refused)", "a.refusal != errFull"},
	{"a dropped attempt ends once (CAS)", post, "if a.finish(abandoned) {", "if a.finish(abandoned) || true {"},
	{"an answered call is not given up", conn, "if !a.finish(abandoned) {", "if !a.finish(abandoned) && false {"},

	// What is known of an attempt without an answer.
	{"a living connection leaves doubt", conn, "if c.wire == nil || !c.dead() {", "if c.wire == nil {"},
	{"a whole frame that left leaves doubt", conn, "if c.wire.UnsentFrom(max(a.start, a.end-2)) {", "if c.wire.unsentFrom(a.end + 2) {"},
	{"what never left was not sent", conn, "if c.wire.UnsentFrom(max(a.start, a.end-2)) {", "if false {"},
	{"a frame whose end never left was not sent", conn, "max(a.start, a.end-2)", "a.start"},
	{"a frame ends where it ends, and not where something else does", writer, "if frame && w.frameEnd == 0 {", "if true {"},
	{"half a request ends the connection", attempt, "if t.conn.mute.Load() || !untouched && !(t.whole && a.encode) {", "if t.conn.mute.Load() {"},
	{"a refused argument ends one call only", attempt, "if t.conn.mute.Load() || !untouched && !(t.whole && a.encode) {", "if true {"},
	{"what the codec has not seen was not sent", conn, "case a.unseen, a.state.Load() == queued:", "case a.unseen:"},
	{"a reply cut short was executed", conn, "r.err, r.sent = &bodyError{c.why(r.err)}, Executed", "r.err, r.sent = &bodyError{c.why(r.err)}, MaybeSent"},
	{"a method's error was executed", conn, "r.err, r.sent = a.err, ran(a.err)", "r.err, r.sent = a.err, MaybeSent"},
	{"a draining server has not run it", conn, "r.err, r.own = a.err, true", "r.err, r.sent = a.err, MaybeSent"},
	{"a retired connection closes when idle only (CAS)", conn, "if c.inflight.CompareAndSwap(0, math.MinInt64/2) {", "if c.inflight.Swap(math.MinInt64/2); true {"},
	{"a connection ends once", conn, "if !c.lost.Swap(true) {", "if true {"},

	// How a connection ends.
	{"the end of a connection ends its calls, whatever its reader does", conn, "case <-c.done:\n\t\treturn c.give(a, c.cause)", "case <-context.Background().Done():\n\t\treturn c.give(a, c.cause)"},
	{"what was given stays open", conn, "case !c.ep.fixed:", "case true:"},
	{"a connection is not closed while it is written", ending, "\t\tw.writerLeaves()\n", ""},
	{"a write that is stuck is ended by a deadline", ending, "if w.writeBy(past) {", "if false {"},
	{"a connection that stays open is read no further", ending, "if w.bar() && !w.readBy(past) {", "if w.bar() {"},
	{"a codec is not closed while it writes", conn, "case c.slot <- struct{}{}: // for good", "case <-c.done:"},
	{"args are let go once written", attempt, "\ta.args = nil\n", ""},
	{"a reply is let go when the call is given up", attempt, "a.cause, a.reply = cause, nil", "a.cause = cause"},
	{"a call is let go when its attempt is given up", attempt, "a.ctx, a.owner = nil, nil", "_ = 0"},

	// What may be hedged, and how two attempts race.
	{"only what is idempotent is hedged", hedge, " || !r.options.hedge", ""},
	{"a call is hedged once", hedge, " || r.hedged", ""},
	{"a call whose reply holds something is not hedged", hedge, " || !isFresh(r.reply)", ""},
	{"a hedge goes to another endpoint", hedge, " && ticket.Node() != first", ""},
	{"a hedge that its breaker refuses leaves the connection", hedge, "c.unready()", "_ = 0"},
	{"a hedge is paid for", hedge, "if !c.hedger.budget.withdraw() {", "if false {"},
	{"a hedge is charged to retries, too", hedge, "if !c.budget.withdraw() {", "if false {"},
	{"a hedge that is not made costs nothing", race, "x.client.refundHedge()", "_ = 0"},
	{"a hedge that was not sent costs nothing", race, "return false\n\t}\n\tx.announce(", "return true\n\t}\n\tx.announce("},
	{"a hedge that was not sent is not counted", race, "x.landed(a, result{err: err, own: true})", "x.announce(a, first)\n\t\tx.landed(a, result{err: err, own: true})"},
	{"a hedge is told of before its end", race, "x.announce(a, first)\n\tc.meet(a)", "c.meet(a)\n\tx.announce(a, first)"},
	{"args are read while the call lasts", race, "x.ended || x.sending || ", "x.ended || "},
	{"a race ends once", race, "if x.ended || x.sending", "if x.sending"},
	{"one failure is not the end", race, "!x.answered && x.under > 0", "false"},
	{"an error of the method is an answer", race, "res.err == nil || !who.hedge && !mayRepeat(res, true)", "res.err == nil"},
	{"an error of the hedge is not the end", race, "!who.hedge && !mayRepeat", "!mayRepeat"},
	{"the doubt of both attempts is reported", race, "later.sent = max(r.sent, later.sent)", ""},
	{"each attempt has a reply of its own", race, "a.owner, a.reply = x, reflect.New(reflect.TypeOf(x.run.reply).Elem()).Interface()", "a.owner = x"},
	{"both attempts have the deadline of the call", race, "c.post(a, x.deadline) != nil", "c.post(a, time.Time{}) != nil"},
	{"a hedge that is being made is given up with its call", race, "if gone {", "if gone && false {"},
	{"an attempt is not reused after the caller left", race, "if x.cause != nil {", "if false {"},

	// What has been written leaves.
	{"who gathers writes of others sends them", flush, "w.coalescing.Store(false)", "_ = 0"},
	{"a server's reader sends the replies that wait before it waits", stream, "s.Send(false)", "_ = 0"},
	{"what takes all room is sent", stream, " || s.Full() {", " {"},

	// What a server that refuses, and a client, believe.
	{"a refusal has the peer's own mark", attempt, "if t.marked(r) {", "if true {"},
	{"what is refused did not run", request, "r.ServiceMethod = protocol.RefusedMethod", "_ = 0"},
	{"a reply waits for room", served, "c.stream.Full(); c.sending.Lock() {", "false; {"},
	{"no request is read without room for its reply", request, "\tq.stream.awaitRoom()\n", ""},
	{"a reply waits for no reader who waits", stream, "if s.waiting.Load() ||", "if"},
	{"a reply waits for no more than maxJoinDelay", stream, "now-since < int64(maxJoinDelay) ||", "true ||"},

	// A server's workers.
	{"another worker reads while a method runs", request, "\tq.handOver()\n", ""},
	{"a worker whose method ends its goroutine is counted", worker, "\tdefer q.leave() // whatever ends the goroutine, be it the method\n", ""},
	{"the spare worker ends with the connection", worker, "close(q.next)", "_ = 0"},
}
