package main

// A mutant is one change of the source that breaks a rule.
type mutant struct {
	rule     string // as it is kept, in a few words
	file     string
	old, new string
	test     string // that kills it; empty if that has not been looked for
}

const (
	outcome   = "rpcx/outcome.go"
	retry     = "rpcx/retry.go"
	away      = "rpcx/outage.go"
	outrun    = "rpcx/outrun.go"
	endpoint  = "rpcx/endpoint.go"
	call      = "rpcx/call.go"
	conn      = "rpcx/conn.go"
	attempt   = "rpcx/attempt.go"
	hedge     = "rpcx/hedge.go"
	race      = "rpcx/race.go"
	async     = "rpcx/asynccall.go"
	exchange  = "rpcx/internal/transport/exchange.go"
	owner     = "rpcx/internal/transport/async.go"
	transport = "rpcx/internal/transport/conn.go"
	send      = "rpcx/internal/transport/send.go"
	read      = "rpcx/internal/transport/read.go"
	reply     = "rpcx/internal/transport/reply.go"
	untaken   = "rpcx/internal/transport/untaken.go"
	foreign   = "rpcx/internal/transport/foreign.go"
	writer    = "rpcx/internal/wire/wire.go"
	flush     = "rpcx/internal/wire/flush.go"
	ending    = "rpcx/internal/wire/close.go"
	stream    = "rpcx/internal/server/stream.go"
	served    = "rpcx/internal/server/conn.go"
	worker    = "rpcx/internal/server/worker.go"
	request   = "rpcx/internal/server/request.go"
	dog       = "rpcx/internal/server/watchdog.go"
	times     = "rpcx/internal/server/runtimes.go"
	caller    = "rpcx/internal/server/caller.go"
	meta      = "rpcx/internal/server/meta.go"
	hooks     = "rpcx/internal/server/trace.go"
	asking    = "rpcx/recall.go"
	memory    = "rpcx/internal/server/recall.go"
	session   = "rpcx/internal/server/session.go"
	numbers   = "rpcx/internal/transport/meta.go"
	gobMeta   = "codec/gob.go"
	jsonMeta  = "codec/jsonmeta.go"
	latency   = "balancer/latency.go"
	p2c       = "balancer/p2c.go"
	ewma      = "balancer/ewma.go"
	fleet     = "balancer/fleet.go"
	node      = "balancer/node.go"
	tally     = "balancer/tally.go"
	trials    = "balancer/trial.go"
)

var mutants = []mutant{
	// When an endpoint that is away is probed.
	{"the pause is less than a quarter of the time away", away, "pauseShare = 5", "pauseShare = 1", "TestReturnWithinAQuarterOfTheOutage"},
	{"the pause is bounded where the host answers", away, "pause = min(pause, longPause)", "pause = max(pause, longPause)", "TestReturnOfAReplica"},
	{"what returns for a short time is still away", away, "|| s.DownSince.Sub(o.closed) >= s.Window", "|| true", "TestReturnOfAFlappingReplica"},
	{"clients draw their pauses", away, "longest/2 + rand.N(longest/2)", "longest + 0*rand.N(longest)", "TestReturnOfAReplicaToManyClients"},
	{"an endpoint that answers, and fails, is left to the breaker", away, "case connected && p.unanswered == 0 && !few:", "case false:", "TestReturnOfAFailingReplica"},
	{"Windows has a number of its own for what is refused", "rpcx/internal/oserr/oserr.go", " || errors.Is(err, WSAECONNREFUSED)", "", "TestIsRefused"},
	{"a server that is not pinged is asked again", "rpcx/pingsupport.go", "c.answered.Load() && c.born.After(since)", "false", "TestServerIsAwayBehindAProxy"},
	{"a refusal explains the silence in which it came", "rpcx/patience.go", "p.refused && (unknown || silent)", "p.refused", "TestRefusalOfAnEarlierSilence"},
	// What may be repeated.
	{"a closed client repeats nothing", call, "if errors.Is(err, ErrShutdown) || cl.client.closed() {", "if false {", "TestCloseEndsEverything"},
	{"a method's own error is not repeated", outcome, "breaker.Success, balancer.AppError, never, false},\n\t// Dialer.Classify", "breaker.Success, balancer.AppError, ifIdempotent, false},\n\t// Dialer.Classify", "TestOutcomesAreDocumented"},
	{"what the throttle or a cap refused is not repeated", outcome, "\"no room under our own caps\", breaker.Ignored, balancer.NotSent, never", "\"no room under our own caps\", breaker.Ignored, balancer.NotSent, elsewhere", "TestOutcomesAreDocumented"},
	{"what cannot be encoded is not repeated", outcome, "\"an argument that cannot be encoded\", breaker.Ignored, balancer.NotSent, never", "\"an argument that cannot be encoded\", breaker.Ignored, balancer.NotSent, elsewhere", "ExampleCallError"},
	{"what cannot be decoded is not repeated", outcome, "\"a reply that cannot be decoded\", breaker.Success, balancer.AppError, never", "\"a reply that cannot be decoded\", breaker.Success, balancer.AppError, ifIdempotent", "TestOutcomesAreDocumented"},
	{"what was not sent goes to another endpoint", outcome, "breaker.Failure, balancer.NotSent, elsewhere", "breaker.Failure, balancer.NotSent, never", "TestOutcomesAreDocumented"},
	{"what may have run is repeated only if idempotent", outcome, "return idempotent || r.sent == NotSent", "return true", "TestDoubtDecidesOnRepetitions"},
	{"what may have run is repeated if idempotent", outcome, "return idempotent || r.sent == NotSent", "return r.sent == NotSent", "TestDoubtDecidesOnRepetitions"},
	{"a caller that has left gets no repetition", retry, "return gone || !res.mayRepeat", "return !res.mayRepeat", "TestTimeThatIsUpAsksNoPolicy"},
	{"a repetition is paid for", retry, "cl.paid = cl.client.budget.Withdraw(); cl.paid", "cl.paid = true; cl.paid", "TestRefusalsOfAServerArePaidFor"},
	{"what repeats only refusals of ours is free", retry, "if !cl.owes || cl.paid {", "if cl.attempts == 1 || cl.paid {", "TestWaitingOutAnOutageIsFree"},
	{"what repeats refusals of a server is paid for", outcome, "r.end == draining || answerOf", "answerOf", "TestRepetitionOfWhatAServerRefusedIsPaidFor"},
	{"what was not sent is not paid for", call, "cl.client.budget.Refund()", "_ = 0", "TestRepetitionThatIsNotSentIsNotPaidFor"},
	{"a spent budget ends a call before it waits", retry, "cl.owes && cl.client.budget.IsSpent()", "false", "TestSpentBudgetEndsACallWithoutAWait"},
	{"the stock of repetitions grows with the calls", "rpcx/internal/retry/budget.go", "max(budgetBurst*repetition, p.most, added)", "budgetBurst * repetition", "TestBudgetGrowsWithTheCalls"},
	{"a refused call does not spin", retry, "cl.wait = max(cl.wait, leastWait)", "_ = 0", "TestZeroBackOffDoesNotSpin"},
	{"attempts are bounded", retry, "cl.rounds < cl.client.dialer.Retry.MaxAttempts", "true", "TestAdoptionServerDown"},
	{"a call that is a retry itself is tried once", retry, "if cl.options.retry || asked", "if asked", "TestCallsOfARetryAreNotRepeated"},
	{"a server that has retried in vain is not asked again", outcome, "if r.final || isPermanent", "if isPermanent", "TestRetriesOfAChainDoNotMultiply"},
	{"a call that was tried in vain says so", call, "cl.tellSpent()", "_ = 0", "TestRetriesOfAChainDoNotMultiply"},
	{"an attempt that repeats another is marked", attempt, "a.hedge || cl.options.retry || cl.owes", "cl.options.retry", "TestRepeatedAttemptIsMarked"},
	{"a call for a retry is a retry", "rpcx/options.go", "o.retry = o.retry || o.chain != nil && o.chain.Retry", "_ = 0", "TestCallsOfARetryAreNotRepeated"},
	{"the endpoint's failure counts for its breaker", outcome, "breaker.Failure, balancer.Failure, ifIdempotent, false},\n\tmisdirected", "breaker.Success, balancer.Failure, ifIdempotent, false},\n\tmisdirected", "TestOutcomesAreDocumented"},
	{"a refused late request leaves its connection", reply, "case r.retires:", "case refused:", "TestLateRefusalLeavesTheConnection"},
	{"a caller that leaves cancels its request", send, "\t\t\tc.Cancel(x)\n", "", "TestMethodLearnsThatItsCallerHasLeft"},
	{"the loser of a race is cancelled", race, "\tx.cancelLosers()\n", "", "TestLoserOfAHedgeIsCanceled"},
	{"the error of a cancelled attempt says nothing", conn, "out.Canceled && r.end == methodFailed", "false", "TestLoserOfAHedgeIsCanceled"},
	{"a deadline goes with its request", call, "a.Deadline, _ = a.ctx.Deadline()", "_ = 0", "TestDeadlineReachesTheMethod"},
	{"moving to another endpoint is bounded", retry, "cl.moved >= most", "false", "TestRefusalsOfAServerArePaidFor"},
	{"nothing sleeps past the deadline", retry, "time.Until(deadline) <= cl.wait", "time.Until(deadline) <= 0", "TestNoSleepPastTheDeadline"},
	{"the doubt of all attempts is reported", retry, "cl.sent = max(cl.sent, res.sent)", "cl.sent = res.sent", "TestDoubtOfAnEarlierAttemptIsReported"},
	{"the last real error is kept", retry, "cl.last = res.err", "_ = res.err", "TestWaitForReadyEndsWithTheDeadline"},
	{"a lost connection is one event", outcome, "case r.lost != nil && r.lost.counted.Swap(true):", "case false:", "TestLostConnectionIsOneEvent"},
	{"a deadline is judged by what the method takes", outcome, "return e.overdue(a, r.at)", "return breaker.Failure, balancer.Failure", "TestImpatienceWithOneMethodIsNotTheEndpoints"},

	// What ends an exchange.
	{"what is given up before it was written is withdrawn", send, "case x.state.Load() != pending:", "case false:", "TestWithdrawnRequestIsNotWritten"},
	{"withdrawn before it was written: not sent", send, "if issued {\n\t\tout.Sent", "if true {\n\t\tout.Sent", "TestWithdrawnRequestIsNotWritten"},
	{"giving up and being answered exclude each other (CAS)", send, "if !x.state.CompareAndSwap(pending, ended) {", "if x.state.Swap(ended) == ended {", "TestAnsweredExchangeIsNotGivenUp"},
	{"the reader decodes only what was not given up (CAS)", reply, "return x.state.CompareAndSwap(pending, answered)", "return x.state.Swap(answered) != answered", "TestLoneCallerLeaves"},
	{"a reply to a number that was not given out ends the connection", reply, "if seq >= c.seq && c.whole {", "if false {", "TestBytesToAnIdleConnection"},
	{"a reply that comes again is ignored", reply, "if x == nil { // it comes again", "if false { // it comes again", "TestReplyThatComesTwice"},
	{"an exchange that may be referred to is not reused", exchange, "if x.shared {", "if false {", "TestUsualLatencyIsAMethods"},
	{"the owner is called once, by the second", owner, "if x.met.Add(1) < 2 {", "if x.met.Add(1) < 1 {", "TestOwnerIsCalledOnceAfterRelease"},
	{"an exchange is given up once (CAS)", owner, "if x.state.CompareAndSwap(pending, ended) {", "if x.state.Swap(ended) != 9 {", "TestOwnerIsCalledOnceAfterRelease"},
	{"an exchange ends once (CAS)", send, "if x.state.CompareAndSwap(pending, ended) {", "if x.state.Swap(ended) != 9 {", "TestOwnerIsCalledOnceAfterRelease"},

	// The reader.
	{"the reader goes on while replies are owed", read, "if len(c.inflight) > 0 || c.prefetch.ReadAhead() || ", "if c.prefetch.ReadAhead() || ", "TestCallersOfAllKinds"},
	{"a caller that has read passes the token on", read, "case len(c.inflight) == 0 && !c.prefetch.ReadAhead():", "case true:", "TestAlarmWakesALoneCaller"},
	{"a caller whose context ends stops reading", read, "c.interrupted = true\n\t\tc.wire.ReadBy(past)\n", "c.interrupted = true\n", "TestLoneCallerLeaves"},
	{"an interrupted read leaves the connection readable", read, "\t\tc.wire.ReadBy(time.Time{})\n\t}\n\town", "\t}\n\town", "TestAlarmWakesALoneCaller"},
	{"an alarm leaves the connection readable", read, "c.interrupted = false\n\t\tc.wire.ReadBy(time.Time{})\n\t}\n}", "c.interrupted = false\n\t}\n}", "TestAlarmBetweenReads"},
	{"a caller that reads looks at its alarm", read, " && !(watched && x.alarmed())", "", "TestAlarmWakesALoneCaller"},
	{"a reply that cannot be told is not waited for behind", read, "if !certain {", "if !certain && false {", "TestLoneCallerOfAReplyThatCannotBeTold"},
	{"an idle connection is looked at before it is used", send, "if takes && c.peeks && c.reading == byNone && now.Sub(c.wire.LastRead()) >= peekAfter {", "if false {", "TestIdleConnectionThatHasEnded"},
	{"a blocking socket is looked at without a wait", "rpcx/internal/wire/peek_unix.go", "syscall.MSG_PEEK|syscall.MSG_DONTWAIT", "syscall.MSG_PEEK", "TestPeekAtABlockingSocket"},
	{"a socket does not stay blocking", "rpcx/internal/wire/peek_unix.go", "syscall.SetNonblock(fd, true)", "syscall.SetNonblock(fd, false)", "TestPeekAtABlockingSocket"},
	{"a marshaler that ends its goroutine corrupts no later request", send, "\t\t\tc.mute.Store(true)\n\t\t}\n\t\tc.writing.Unlock()", "\t\t}\n\t\tc.writing.Unlock()", "TestEncodingThatEndsItsGoroutine"},
	{"an unmarshaler that ends its goroutine ends its call", reply, "\t\t\tc.undecoded(x, r)\n", "", "TestDecodingThatEndsItsGoroutine"},
	{"an idle reader ends", read, "case !idle || c.state == closed:", "case !idle || c.state <= closed:", "TestLoneCallerReadsItsOwnReply"},

	// What is known of an attempt without an answer.
	{"a living connection leaves doubt", send, "case c.wire == nil || !c.Dead():", "case c.wire == nil:", "TestWhatMayStillLeaveIsInDoubt"},
	{"a whole frame that left leaves doubt", send, "case c.wire.UnsentFrom(max(x.from, x.to.Load()-2)):", "case c.wire.UnsentFrom(x.to.Load() + 2):", "TestLoneCallerOnAConnectionThatEnds"},
	{"what never left was not sent", send, "case c.wire.UnsentFrom(max(x.from, x.to.Load()-2)):", "case false:", "TestRequestWhoseEndNeverLeftWasNotSent"},
	{"a frame whose end never left was not sent", send, "max(x.from, x.to.Load()-2)", "x.from", "TestRequestWhoseEndNeverLeftWasNotSent"},
	{"a frame ends where it ends, and not where something else does", writer, "if frame && w.frameEnd == 0 {", "if true {", "TestWhatFollowsARequestIsNotItsEnd"},
	{"a part that left leaves doubt, whatever notices the end first", untaken, "Err: cause, Sent: sent}", "Err: cause}", "TestWriterNoticesThatTheConnectionHasEnded"},
	{"a part that left leaves doubt before the connection has ended", untaken, "untouched && errors.Is(err, wire.ErrClosed):", "errors.Is(err, wire.ErrClosed):", "TestWriterNoticesThatTheConnectionHasEnded"},
	{"half a request ends the connection", untaken, "if c.hasRetired() || !untouched && !(c.whole && isEncodeError(err)) {", "if c.hasRetired() {", "TestHalfARequestEndsTheConnection"},
	{"a refused argument ends one call only", untaken, "if c.hasRetired() || !untouched && !(c.whole && isEncodeError(err)) {", "if true {", "TestPoison"},
	{"a reply that is cut short is none", reply, "c.cut != nil", "false", "TestConnectionEndsWithinAReply"},
	{"nor is one of a foreign codec", foreign, "c.wire.ReadFailed()", "false", "TestConnectionEndsWithinAReply"},
	{"a reply that cannot be read was executed", reply, "Err: &BodyError{readError(err)}, Sent: Executed", "Err: &BodyError{readError(err)}, Sent: MaybeSent", "TestEveryKindOfServerReturns"},
	{"a method's error was executed", reply, "Cause: MethodFailed, Err: r.failure, Sent: Executed", "Cause: MethodFailed, Err: r.failure, Sent: MaybeSent", "TestRefusalInTheWordsOfAMethodIsNoProof"},
	{"a draining server has not run it", reply, "out.Cause, out.Sent = Refused, NotSent", "out.Cause, out.Sent = Refused, MaybeSent", "TestLateRefusalLeavesTheConnection"},
	{"a retired connection closes when idle only", transport, "idle := c.live == 0", "idle := true", "TestRetiredConnectionTakesNoCalls"},
	{"a retired connection closes after its last answer", reply, "c.state == retiring && c.live == 0", "false", "TestEmptySet"},
	{"a connection ends once", transport, "if was == closed {", "if false {", "TestForeignCodecIsNotClosedWhileItReads"},

	// How a connection ends.
	{"the end of a connection ends its exchanges, whatever its reader does", transport, "\tc.abort()\n", "", "TestLoneCallerOnAConnectionThatEnds"},
	{"what was given stays open", transport, "case !c.cfg.Given:", "case true:", "TestEndOfReadingLeavesWhatWasGiven"},
	{"a foreign codec is not closed while it reads", transport, "leaves := c.wire.Dismiss(); leaves && !c.whole", "leaves := c.wire.Dismiss(); leaves && false", "TestForeignCodecIsNotClosedWhileItReads"},
	{"a canceled write whose count is not exact may all have left", flush, "if w.kernel && (w.exact || !IsTimeout(err)) {", "if w.kernel {", "TestWireTrustsNoCanceledWrite"},
	{"nor is it gone on with", flush, "!IsTimeout(err) || !w.exact {", "!IsTimeout(err) {", "TestWireTrustsNoCanceledWrite"},
	{"a connection is not closed while it is written", ending, "\t\tw.writerLeaves()\n", "", "TestStuckWriteIsEndedBeforeClose"},
	{"a write that is stuck is ended by a deadline", ending, "if w.writeBy(past) {", "if false {", "TestStuckWriteIsEndedBeforeClose"},
	{"a connection that stays open is read no further", ending, "if w.bar() && !w.readBy(past) {", "if w.bar() {", "TestConvictionEndsTheReader"},
	{"a codec is not closed while it writes", transport, "\tc.writerLeaves()\n", "", "TestCodecIsNotClosedWhileItWrites"},
	{"args are let go once written", send, "\tx.Args = nil\n", "", "TestCallsGivenUpKeepNothing"},
	{"a reply is let go when the call is given up", send, "\tx.Reply = nil\n", "", "TestLoneCallerLeaves"},
	{"a call is let go when its attempt is given up", attempt, "a.ctx, a.owner, a.conn, a.endpoint = nil, nil, nil, nil", "a.ctx, a.endpoint = nil, nil", "TestCallsGivenUpKeepNothing"},

	// What may be hedged, and how two attempts race.
	{"only what is idempotent is hedged", hedge, "return cl.options.hedge && !cl", "return !cl", "TestHedgerAllocatesNothingForOthers"},
	{"a call is hedged once", hedge, " && !cl.hedged", "", "TestOneHedgeForEachCall"},
	{"a call whose reply holds something is not hedged", hedge, " && transport.IsFresh(cl.reply)", " && cl.reply != nil && transport.IsFresh(new(int))", "TestStuckCallThatIsNotHedged"},
	{"a call that reads its own reply is woken by the alarm", endpoint, "c.Disturb()", "_ = c", "TestCallsLeaveAFrozenProcess"},
	{"a hedge by suspicion is not sent to a suspect endpoint", hedge, " && ticket.Node().State() == balancer.Ready", "", "TestStuckCallFindsAllSuspect"},
	{"the loser of a hedge by suspicion is given up", outrun, "p.abandon(context.Canceled) // before the reply is written", "", "TestIdempotentCallSurvivesAFrozenReplica"},
	{"the second attempt of a hedge by suspicion may fail", outrun, "res.stands(i == 1)", "true", "TestStuckCallOutlivesItsSecondAttempt"},
	{"a hedge goes to another endpoint", hedge, " && ticket.Node() != first", "", "TestNoEndpointNoCharge"},
	{"a hedge is paid for", hedge, "if h != nil && !h.budget.Withdraw() {", "if false {", "TestHedgeIsPaidTwiceOrNotAtAll"},
	{"a hedge is charged to retries, too", hedge, "if !c.budget.Withdraw() {", "if false {", "TestHedgeIsPaidTwiceOrNotAtAll"},
	{"a hedge that is not made costs nothing", race, "x.client.refundHedge()", "_ = 0", "TestNoEndpointNoCharge"},
	{"a hedge that was not sent costs nothing", race, "return false\n\t}\n\tx.posted()\n\tx.call.announce(", "return true\n\t}\n\tx.posted()\n\tx.call.announce(", "TestHedgeThatWasNotSent"},
	{"a hedge that was not sent is not counted", race, "x.attemptDone(a, c.result(c.NotStarted(err)))", "x.call.announce(x.ctx, a, first, x.started)\n\t\tx.attemptDone(a, c.result(c.NotStarted(err)))", "TestHedgeThatWasNotSent"},
	{"a hedge is reported before its end", race, "x.call.announce(x.ctx, a, first, x.started) // its end waits for Release, however fast the answer is\n\tc.Release(&a.Exchange)", "c.Release(&a.Exchange)\n\tx.call.announce(x.ctx, a, first, x.started)", "TestHedgeIsToldOfBeforeItsEnd"},
	{"args are read while the call lasts", race, "x.ended || x.held > 0 || ", "x.ended || ", "TestHedgeAfterOneThatWasNotSent"},
	{"a race ends once", race, "if x.ended || x.held > 0", "if x.held > 0", "TestHedgeThatWasNotSent"},
	{"one failure is not the end", race, "!x.answered && x.under > 0", "false", "TestHedgeOfSpoiltArgs"},
	{"an error of the method is an answer", race, "r.end == replied || !hedge && !r.mayRepeat(true)", "r.end == replied", "TestHedge"},
	{"an error of the hedge is not the end", race, "!hedge && !r.mayRepeat", "!r.mayRepeat", "TestHedge"},
	{"the doubt of both attempts is reported", race, "out.doubting(r).doubting(later)", "out", "TestBothFail"},
	{"a hedge that goes on leaves a doubt", race, "x.res = x.res.doubting(result{sent: MaybeSent})", "_ = 0", "TestDoubtOverAHedgedCall"},
	{"a hedge that has ended leaves a doubt", race, "r, res.doubting(x.res)", "r, res", "TestDoubtOverAHedgedCall"},
	{"a hedge by suspicion leaves a doubt", outrun, "p.res = p.res.doubting(res)", "_ = 0", "TestDoubtOverAHedgedCall"},
	{"a pool slot has one connection", "rpcx/pool.go", "old != nil && old.Takes()", "false", "TestOneConnectionTakesThePlaceOfASilentOne"},
	{"a failed ping says nothing of the server", "rpcx/ping.go", "end.end != replied && end.end != methodFailed", "false", "TestFailedPingSaysNothingOfTheServer"},
	{"an error after an empty set begins the wait anew", "rpcx/membership.go", "if d.err != nil || len(d.set) > 0 {", "if false {", "TestEmptySetBeforeAnError"},
	{"each attempt has a reply of its own", race, "a.owner, a.Reply = x, reflect.New(reflect.TypeOf(x.call.reply).Elem()).Interface()", "a.owner = x", "TestLoserLeavesTheReplyAlone"},
	{"both attempts have the deadline of the call", race, "err := c.post(a, a.Started, x.deadline)\n\treturned", "err := c.post(a, a.Started, time.Time{})\n\treturned", "TestGoEndsAtCallTimeout"},
	{"a hedge that is being made is given up with its call", race, "\tx.giveUp()\n\tx.mu.Lock()\n", "\tx.mu.Lock()\n", "TestCallerLeavesAsTheHedgeBegins"},
	{"an attempt is not reused after the caller left", race, "if x.cause != nil || x.ended {", "if x.ended {", "TestAttemptIsNotReusedAfterItsCallerLeft"},

	// What has been written leaves.
	{"the writer that coalesces sends", flush, "w.coalescing.Store(false)", "_ = 0", "TestReplyThatComesTwice"},
	{"a server's reader sends the replies that wait before it waits", stream, "s.Send(false)", "_ = 0", "TestServeHoldsNoReplyBack"},
	{"what takes all room is sent", stream, " || s.Full() {", " {", "TestStreamJoinsNextFlush"},

	// What a server that refuses, and a client, believe.
	{"a refusal has the peer's own mark", reply, "if c.marked(&r.head) {", "if true {", "TestRefusalFromAThirdPartyIsNoProof"},
	{"what is refused did not run", request, "r.ServiceMethod = protocol.RefusedMethod", "_ = 0", "TestLateRequestIsRefused"},
	{"what is late is not run", request, "q.refused == nil && q.isLate()", "false", "TestLateRequestIsRefused"},
	{"a deadline that is far away is not past", "rpcx/internal/peerclock/peerclock.go", "return math.MaxInt64\n", "_ = math.MaxInt64\n", "TestDeadlineThatIsTooFarAway"},
	{"what is late is late on this connection only", meta, "q.stream.now()-q.first > int64(deadline)", "q.stream.now() > int64(deadline)", "TestTimeOfAConnectionBeginsWithItsFirstRequest"},
	{"a reply that is too large does not end the connection", gobMeta, "if err == nil && size > room {", "if false {", "TestReplyLargerThanMaxFrame"},
	{"nor does one near the limit, of new types", gobMeta, "int64(s.trialSize) > room/2", "false", "TestRepliesNearMaxFrame"},
	{"a stock client is sent net/rpc's header", gobMeta, "s.answersMeta.Store(s.in.meta.declared)", "s.answersMeta.Store(true)", "TestMetaWireToAStockClient"},
	{"JSON metadata answer metadata only", jsonMeta, "return m, s.answersMeta\n", "return m, true\n", "TestMetaArrives"},
	{"nothing is sent to a server that may not know it", jsonMeta, "if !c.useMeta || c.MetaSupport() != MetaUnderstood {\n\t\tm = nil", "if !c.useMeta {\n\t\tm = nil", "TestMetaWireToAStockServer"},
	{"a context ends with its method", caller, "\t\tcancel(errReturned)\n", "\t\t_ = cancel\n", "TestContextOutlivesNoMethod"},
	{"a method that ends has nothing left to end (CAS)", caller, "if !c.touch(key) {", "if false {", "TestContextOutlivesNoMethod"},
	{"what was canceled before it asked has ended", caller, "if c.cause != nil {\n\t\tc.cancel(c.cause)", "if false {\n\t\tc.cancel(c.cause)", "TestContextEnds"},
	{"a method gets the context that a hook has returned", caller, "\tc.ctx = ctx\n", "", "TestServerTrace"},
	{"a hook learns that the method did not return", hooks, "if !q.answered {", "if false {", "TestServerTrace"},
	{"a context that its method outlives was not canceled", hooks, "!errors.Is(cause, errReturned)", "true", "TestServerTrace"},
	{"a lost connection ends the contexts of its methods", request, "\t\tq.lose(errLost)\n", "", "TestContextEnds"},
	{"a reply waits for room", served, "c.stream.Full(); c.sending.Lock() {", "false; {", "TestServeHoldsFewReplies"},
	{"no request is read without room for its reply", request, "\tq.stream.awaitRoom()\n", "", "TestServeReadsNoRequestsWithoutRoom"},
	{"a reply is not held back while the reader waits", stream, "if s.waiting.Load() ||", "if", "TestStreamJoinsNextFlush"},
	{"a reply waits for no more than maxJoinDelay", stream, "now-since < int64(maxJoinDelay) ||", "true ||", "TestStreamJoinsNextFlush"},

	// A server's workers.
	{"another worker reads while a method runs", request, "\tq.handOver()\n", "", "TestServeOutlivesFailingAccepts"},
	{"a worker whose method ends its goroutine is counted", worker, "\tdefer q.leave() // whatever ends the goroutine, be it the method\n", "", "TestServeOutlivesFailingAccepts"},
	{"the spare worker ends with the connection", worker, "close(q.next)", "_ = 0", "TestServeOutlivesFailingAccepts"},
	{"requests that arrive together run concurrently", request, "!q.followed && (!runs", "(!runs", "TestReadingAfterARequest"},
	{"a method that is not short does not keep the reading", request, "(!runs || q.times.short())", "true", "TestShortRequestRunsWhereItWasRead"},
	{"a run that is long for once does not keep the reading", dog, "\t\tc.handOver()\n", "", "TestRequestsBehindAMethod"},
	{"a run that is long for once is remembered", dog, "\t\tk.by.times.record(watchdogPeriod)\n", "", "TestWatchdogGivesTheReadingAway"},
	{"a reading that was given away is not resumed", dog, "if c.kept.by != q {", "if false {", "TestRequestsBehindAMethod"},
	{"a method that ends its goroutine gives the reading away", worker, "\t\tq.handOver()\n", "", "TestShortMethodDoesNotReturn"},
	{"a kept reading holds no reply back", dog, "\tc.stream.pause()\n", "", "TestKeptReadingHoldsNoReplyBack"},
	{"long runs are counted", times, "level = min(old+longCost, maxLevel)", "level = old", "TestRunTimes"},
	{"a new method is not short", times, "t.level.Store(maxLevel)", "_ = 0", "TestRunTimes"},

	// What an idle fleet of sound nodes shares.
	{"one slow call may be chance", latency, "pack(took, tick), min(before, took)", "pack(took, tick), took", "TestOutcomes"},
	{"two slow calls in a row are not", latency, "pack(took, tick), min(before, took)", "pack(took, tick), 0.0", "TestOutcomes"},
	{"calls that overlap are one slow call", latency, "ticks(since, tickOf(start)) == 0", "false", "TestOnePauseIsOneSlowCall"},
	{"a fast call ends the doubt", latency, "\t\tn.dispel(start)\n", "", "TestSlowCallsFarApart"},
	{"a millisecond makes no difference", latency, "math.Abs(v-f.latency) < grain", "math.Abs(v-f.latency) < 0", "TestSlowNodeRecovers"},
	{"idle nodes take turns", p2c, "return max(t-n.progress.Load(), 0)", "return 0", "TestIdleNodesTakeTurns"},
	{"a node in slow start gets its turn by chance", p2c, "below(v.Rand(), len(v.nodes)) > 0", "v == nil", "TestRecoveryStampede"},
	{"nodes that die at once are no overload", fleet, " * min(deathFactor*(1-f.deaths.at(tick, errorRate, 0)), 1)", "", "TestBatchesOfALargeFleetDie"},
	{"nodes that died long ago are no sign of deaths", node, "; ticks(first, tick) < deathTicks {", "; first >= 0 {", "TestPenaltyUnderStrain"},
	{"one call is not most of an idle node's latency", ewma, "min(1-keep, peakGain)", "(1 - keep)", "TestIdleNodeIsNotPreferred"},
	{"an idle node's latency drifts before its next call", ewma, "max(rest+(v-rest)*keep, sample)", "v", "TestSlowNodeRecovers"},
	{"an overloaded fleet needs a node that fails half of its calls", fleet, "1-excess*excess*excess", "1-excess", "TestPenaltyUnderStrain"},
	{"an overloaded fleet avoids a node that fails all calls", fleet, "1-excess*excess*excess", "1", "TestTrialsAreCounted"},
	{"a node is tried after a quarter of its fault", trials, "trialPart = 1.0 / 4", "trialPart = 1.0", "TestReturn"},
	{"trials become rare as a fault lasts", trials, "trialPart = 1.0 / 4", "trialPart = 0.0", "TestOneTrialAtATime"},
	{"a trial has no second call in flight", trials, "return inflight == 0 && ticks", "return ticks", "TestOneTrialAtATime"},
	{"a trial that succeeds ends the effect of errors", trials, "s.word.CompareAndSwap(w, w|recovered)", "s.word.CompareAndSwap(w, w)", "TestSpellEnds"},
	{"trials of all nodes are counted", trials, "spent < allTrials:", "true:", "TestTrialsAreCounted"},
	{"trials wait for the full quarter when most are spent", trials, "spent < earlyTrials:", "spent < allTrials:", "TestReturn"},
	{"calls earn further trials", trials, "spent.Add(-trialBatch)", "_ = 0", "TestOneTrialAtATime"},
	{"an overloaded fleet spends no trials", trials, "trialCost * (1 - fleet.strain)", "trialCost", "TestOverloadSpendsNoTrials"},
	{"trials are a part of a node's fair share", trials, "v.compared(fleet) < trialShare", "v.compared(fleet) < 1e9", "TestReturn"},
	{"a later fault is another spell", trials, "ticks(first, last)+spellGapTicks {", "1e9 {", "TestSpellEnds"},
	{"a call that has ended is not a pick less", tally, "c.word.Add(^uint64(0))", "c.word.Add(-(onePick + 1) & (1<<64 - 1))", "TestOwnRejection_envoy25487"},

	// What became of a call.
	{"no request runs once its connection was asked about", memory, "\tcase s.asked:", "\tcase false:", "TestEveryOrderOfAFewEvents"},
	{"nor does one that is not remembered", session, "s.conn.retired.CompareAndSwap(nil, protocol.ErrGivenUp)", "_ = 0", "TestManyEventsByTheDice"},
	{"the answer is final: what comes later does not count", session, "if s.conn != nil && !s.asked {", "if s.conn != nil {", "TestEveryOrderOfAFewEvents"},
	{"a connection is closed before a question about it is answered", memory, "if c != nil {\n\t\tc.abort(wire.ErrClosed)", "if c != nil && false {\n\t\tc.abort(wire.ErrClosed)", "TestAnswersOfWhatDidNotReturn"},
	{"only what lies beyond the requests read has not run", session, "q.Call > s.read", "q.Call >= s.read", "TestEveryOrderOfAFewEvents"},
	{"what was forgotten may have run", session, "case r == nil:\n\t\treturn nil, protocol.ErrForgotten", "case r == nil:\n\t\treturn nil, q.NotRun()", "TestEveryOrderOfAFewEvents"},
	{"a request that is not remembered counts", meta, "q.count.Add(1) // before", "// before", "TestAnswersOfWhatDidNotReturn"},
	{"a request with a wrong number does not run", memory, "case meta.Call-meta.Pending != position ||", "case", "TestManyEventsByTheDice"},
	{"no more is forgotten than was acknowledged", memory, "m.acknowledge(s, position-meta.Pending-1)", "m.acknowledge(s, position-1)", "TestEveryOrderOfAFewEvents"},
	{"the oldest answer is forgotten first", memory, "m.forget(m.aging.next)\n\t}\n}", "m.forget(m.aging.prev)\n\t}\n}", "TestOldestAnswersAreDroppedFirst"},
	{"an answer counts as its length", served, "size = c.stream.written.Load() - from", "size = 0 * from", "TestKeptAnswersAreLimitedByTheirLength"},
	{"so does one that cannot be sent", stream, "\ts.Wire.Write(p) //nolint:errcheck // it fails only after the connection has been aborted\n\treturn len(p), nil", "\treturn s.Wire.Write(p)", "TestAnswersOfABrokenConnectionCount"},
	{"one that is too large is kept as the error that was sent", request, "failure, body = err.Error(), struct{}{}", "_ = 0", "TestAnswerLargerThanMaxFrame"},
	{"an idle worker keeps no answer", request, "\tq.record, q.trace = nil, nil", "\tq.trace = nil", "TestKeptAnswersAreLimitedByTheirLength"},
	{"an answer that has come is forgotten", memory, "r != nil && r.state != recordRunning {", "false {", "TestAnswersOfWhatDidNotReturn"},
	{"so is one long ago", memory, "\t\t\tif call <= to {", "\t\t\tif call == 0 {", "TestAcknowledgmentOfALongGap"},
	{"what runs is not forgotten by a long gap", memory, "\t\t\tif call <= to {\n\t\t\t\tm.arrived(r)", "\t\t\tif call <= to {\n\t\t\t\tm.forget(r)", "TestAcknowledgmentOfALongGap"},
	{"answers are forgotten in time", memory, "now.Sub(r.at) > m.keep", "false", "TestManyEventsByTheDice"},
	{"a session is forgotten in time", memory, "m.age(&record{session: s}, sessionSize)", "_ = 0", "TestManyEventsByTheDice"},
	{"a damaged question has no answer", memory, "if !q.IsValid() {", "if false {", "TestQuestionsThatHaveNoAnswer"},
	{"another server's session is not forgotten, but unknown", memory, "case [8]byte(id[:8]) != m.server:", "case false:", "TestQuestionsThatHaveNoAnswer"},
	{"a connection cannot ask about itself", memory, "case s != nil && s.conn == asker:", "case false:", "TestQuestionsThatHaveNoAnswer"},
	{"what cannot be decoded has not run", request, "if err != nil {\n\t\tq.memory.cancel(q.record)\n\t}\n", "", "TestAnswersOfWhatDidNotReturn"},
	{"a method whose client may come back is not told of the loss", caller, "return !c.kept ||", "return true ||", "TestContextOfALostConnection"},
	{"a method whose client does not come back is canceled", session, "r.lone == graceTicks", "false", "TestContextOfALostConnection"},
	{"a cancellation over another connection reaches the method", caller, "if instead != nil {", "if false {", "TestContextOfALostConnection"},
	{"a later question takes the place of an earlier one", memory, "if r.asker != asker {", "if r.asker == nil {", "TestQuestionsLeaveNoConnections"},
	{"a question is answered beyond MaxConns", served, "asks && refused.Retires()", "false", "TestQuestionBeyondMaxConns"},
	{"a method that runs is waited for", session, "case r.state == recordRunning && !q.Wait:", "case r.state == recordRunning:", "TestLostAnswerIsTheSame"},
	{"only the server that had the call is asked", asking, "case !s.SameServer(r.session):", "case !s.SameServer(r.session) && false:", "TestRecallOfAServerThatIsGone"},
	{"what never came is not sent", asking, "res.end, res.sent = notSent, NotSent", "res.end = connLost", "TestWhatNeverCameGoesElsewhere"},
	{"a question ends with its time", asking, ", !time.Now().Before(r.limit) && !r.wait:", ":", "TestRecallIsBounded"},
	{"one attempt of a question does not take all its time", asking, "time.Now().Add(r.client.dialer.DialTimeout)\n\t\tlimited", "r.limit\n\t\tlimited", "TestLostAnswerToAQuestion"},
	{"a long answer is waited for", asking, "< leastOfAnswer:", "< 1<<40:", "TestLongAnswerOverASlowLink"},
	{"an answer that is too large is not asked for again", asking, "case errors.As(res.err, new(*codec.FrameError)):", "case false:", "TestAnswerThatIsTooLarge"},
	{"a question ends with its attempt", call, "cl.recall(ctx, limited,", "cl.recall(ctx, context.WithoutCancel(limited),", "TestQuestionEndsWithItsAttempt"},
	{"a server that is not there is given up", asking, "case time.Since(r.refused) >= refusedFor:", "case false:", "TestRecallIsBounded"},
	{"a connection that breaks while a method is waited for is not the end", asking, "\t\tr.wait = false\n", "\t\treturn RecallUnanswered, false\n", "TestQuestionsLeaveNoConnections"},
	{"a call that is to be remembered waits for the welcome", asking, "!a.Keep || !c.mustGreet()", "true", "TestConnectionEndsWithinAReply"},
	{"so does one of Go", async, "if c == nil || try.Keep && c.mustGreet() {", "if c == nil {", "TestWhatBecameOfACall"},
	{"an idempotent call is not remembered", call, "a.Keep = !cl.options.idempotent && !cl.notify", "a.Keep = !cl.notify", "TestConnectionEndsWithinAReply"},
	{"requests are counted as they are written", send, "\t\tc.meta.written++\n", "", "TestDeadlineReachesTheMethod"},
	{"so are notifications", "rpcx/internal/transport/notify.go", "\tc.meta.written++\n", "", "TestBothEndsCountTheSameRequests"},
	{"no answer is acknowledged that is pending", numbers, "m.first = c.inflight[m.oldest].position", "m.first = x.position", "TestWhatBecameOfACall"},
	{"the oldest call is found among few", numbers, "least = min(least, seq)", "least = seq", "TestOldestInFlight"},
	{"a lost request has its number", transport, "if out.Sent == MaybeSent && x.kept {", "if false {", "TestConnectionEndsWithinAReply"},
}
