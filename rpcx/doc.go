// Package rpcx is net/rpc's client for servers that may be slow, frozen or gone.
//
// [Dial] takes the place of rpc.Dial: the names, parameters and results are the
// same, and swapping the import is enough. An address may list replicas; then
// every call goes to one that works. A [Dialer] holds the options, and its zero
// value is what Dial uses. The servers stay as they are.
//
// # The way of one call
//
// A call asks the balancer for an endpoint, the endpoint's circuit breaker for a permit,
// and the endpoint for its connection. The balancer prefers connected endpoints. A call waits
// for a dial only if no endpoint is connected; the endpoints that it passes over are dialed
// in the background. The request is encoded into memory and written together with others. A
// caller that has been alone on its connection for a few calls reads its own reply. The end
// of an attempt is a row of the table below: it says what the breaker and the balancer
// learn, and whether the call is tried again. The failure detector learns from bytes that
// arrive and from answers that are overdue.
//
// The breaker is the only gate: an endpoint takes calls if and only if its breaker lets
// them in. The failure detector watches for silence while an answer is due. If a peer has
// been silent for [Dialer].Heartbeat, the client pings it: it calls a method that no server
// has, and the error "can't find service" shows that the server works. From phi 1 on, the
// balancer prefers other endpoints. At the detector's threshold the peer is convicted: its
// breaker opens, its connections close, and all calls that wait on them end. A slow call to a
// live peer is never cut. While an endpoint is down, pings try it, not calls.
//
// [Dialer].Intercept stands before all of that, once for each call. [Client.Notify] sends what
// gets no answer, with the codecs of JSON-RPC. [Client.StandardClient] is for code that takes a
// client of package net/rpc itself.
//
// # What a silence means
//
// Not every server answers pings, or answers them while it works on calls.
//
//   - An eighth of a heartbeat (125 ms) after it has connected to an endpoint, the client
//     opens a second connection, sends one ping, and closes it. So a server that reacts
//     badly to an unknown method loses no call. Such a server is not pinged any more
//     ([EndpointStats].Pings, [ClientTrace].PingSupport, and the log say so). When it was
//     down, calls try it.
//   - A server that answers is pinged over the connections of calls. When a call has waited
//     for an eighth of a heartbeat, a ping follows, to learn whether the server answers pings
//     while that many calls wait.
//
// At default settings, a silence of 2.5 s convicts if one of these holds:
//
//   - The peer has answered a ping while at least as many calls waited.
//   - Each waiting call is of a method that usually takes less than a quarter of a heartbeat.
//   - A second connection is silent, too.
//
// A silence must last for 30 s (twelve times as long) if the peer may have a reason for it and
// cannot be asked: nothing is known of it yet, it is not pinged, it refuses a second
// connection, or the client has only the connection that was given to [NewClient]. A peer that
// answers over another connection is not convicted; new calls go there, and the calls
// on the silent connection wait for 30 s. Any byte is a sign of life, and time that this side
// spends decoding is no silence.
//
// # Addresses
//
// [Dial] takes an address as net.Dial does, or a list of them, "a:7001,b:7001". In place of
// a list there may be one URL. It names a source of endpoints, which the client follows
// while it runs:
//
//	dns:///calc.internal:7001                       the A and AAAA records of the host
//	srv:///_rpc._tcp.calc.internal                  the SRV records of the service (RFC 2782)
//	dns://10.0.0.53/calc.internal:7001              the same, of this name server only
//	srv://127.0.0.1:8600/calc.service.consul
//	file:///etc/calc.replicas                       the lines of the file
//
// Names are looked up again when their TTL ends. SRV records have priorities and weights.
// Each line of the file is an address, with weight=N and priority=N behind it if they are
// not the default; empty lines, and what follows a #, mean nothing:
//
//	10.0.0.1:7001              # weight=1 priority=0
//	10.0.0.2:7001 weight=2     # gets twice as many calls
//	10.9.0.1:7001 priority=1   # gets calls only while none with a lower number can take them
//
// The file is read every second. A file whose last line has no newline at its end may be
// incomplete, and is used once it has not changed for 5 seconds; replace the file by renaming
// another one. If a source fails, the last good set stays in use. Package
// [resilientrpc/rpcx/resolver] documents the three, and [Dialer].Resolver takes any other
// source. With TLS, mind that the names of SRV records are what the DNS says
// ([Dialer].TLSConfig).
//
// # Endpoints that come and go
//
// An endpoint that leaves finishes the calls it has; one that comes is
// connected within a second, gets calls little by little, and until then only if
// no other can take them. While all endpoints are down, a resolver that asks its
// source from time to time is asked to look now ([Refresher]). Of a large fleet a
// client uses a part, [Dialer].Subset; the rest is a line in a list: no connection,
// no ping, no breaker.
//
// # What is tried again
//
// A method runs at most once unless it is known to be idempotent, by
// [WithIdempotent] or [Dialer].Methods. How an attempt can end, what that means to the
// endpoint's breaker, and whether the call is tried again:
//
//	end of the attempt                      breaker   tried again
//	a reply                                 success   –
//	an error of the method (ServerError)    success   no
//	an error of the endpoint (Classify)     failure   if idempotent
//	an error to try elsewhere (Classify)    success   if idempotent
//	a reply that cannot be decoded          success   no
//	an argument that cannot be encoded      ignored   no
//	refused for good (HTTP 3xx, 4xx)        success   no
//	asked to go elsewhere (HTTP 429)        ignored   yes, elsewhere
//	refused for a while (503, Retry-After)  failure   yes, elsewhere
//	no usable answer (other HTTP statuses)  failure   if idempotent
//	refused by our own breaker              ignored   yes, elsewhere
//	no room under our own caps              ignored   no
//	refused by a server that drains         ignored   yes, elsewhere
//	no connection; or provably not sent     failure¹  yes, elsewhere
//	a fault on this side                    ignored¹  yes, elsewhere
//	sent, and the connection broke          failure²  if idempotent⁵
//	sent, and the peer was convicted        failure²  if idempotent⁵
//	the deadline passed without an answer   failure³  if idempotent⁴
//	the caller gave up                      ignored   no
//	the client was closed                   ignored   no
//	a notification was sent                 ignored   no
//
// (1) A failed dial opens the breaker at once, unless another connection to the endpoint
// works. It is a fault on this side if there is no file descriptor, port, memory,
// route or permission, or no answer from the name service. Then the dial is tried again
// with pauses of up to a second; beside a working connection, of up to five.
//
// (2) A lost connection is one failure, however many calls were on it.
//
// (3) The deadline is a failure of the endpoint if the call had twice the time that the
// method takes on average (four times, if that is below 100 ms), here or at the fastest
// other endpoint, late answers included. It is a failure, too, if for two heartbeats the
// endpoint was silent, or the client had no answer from any endpoint. Otherwise it is
// ignored: a method that is never answered, while others are, does not prove a fault of the
// endpoint.
//
// (4) A call is not tried again after its own deadline. This row is for an attempt whose
// deadline, set by [ClientTrace].AttemptStart, is earlier.
//
// (5) If the server is one of [Serve], it is asked first what became of a call that is not
// idempotent: see "Lost answers". What it has not run is tried again, elsewhere.
//
// "Provably not sent" means that the end of the request cannot have left this process: no
// server runs a request before it has all of it. Such a call moves to an endpoint not yet
// tried at once, without a pause and free of charge. Any other repetition waits for
// [Retry].BackOff, and costs [Retry].Budget if a server was given an earlier attempt. Waiting
// for an endpoint is free. A call that is itself a retry ([AsRetry]) is not repeated. A server
// that says when to come back (Retry-After) is not asked before; if that is later than in half
// a second, the call fails instead.
//
// What holds for connections holds for each exchange over HTTP (package
// codec/jsonhttp), which is a connection of its own: it fails one call, and a call that
// is given up ends its exchange. Which statuses prove that the method did not run is documented
// at jsonhttp.StatusError, to which errors.As leads.
//
// # Lost answers
//
// When a connection breaks, its client knows only that a call may have run. A server of
// [Serve] that lives knows more, and with the codecs of package codec the client asks it, over
// a new connection:
//
//	answer          what follows                                       [CallError].Recall
//	the method's    it is the answer to the call                       –
//	it runs         the call waits for it over the new connection      –
//	not run         proof: the call may go to any endpoint             –
//	forgotten       the call fails, and may have run                   RecallForgotten
//	another server  the same: the one with the call has died, or the   RecallServerGone
//	                address leads to several
//	none in time    the same                                           RecallUnanswered
//
// Before it answers, the server closes the old connection, and runs nothing more that arrives
// by it. So the answer is final, whatever is still on its way in a buffer or a proxy, and the
// question can be asked again if its connection breaks, too.
//
// The two name a call by its session and its number. The session is a random name of the
// connection, which includes one of the server's process; the first request of a connection asks
// the server for it, and calls that are not idempotent wait for that. The number is the position
// among the requests of the connection, which both ends count. A call that is not idempotent
// carries its number, and how many requests before it have no answer yet: 2 to 6 bytes in gob.
// The server keeps its answer until a later request shows that the answer has arrived. An
// idempotent call carries nothing, since it is repeated. To any other server nothing of this
// is sent, nor with the first calls of a client, before an answer has shown what kind of server
// it is.
//
// The question is asked again until there is an answer, but not beyond the call's deadline; without
// one, not for longer than Dialer.DialTimeout, beside the time for which the method runs, or a
// long answer arrives. An answer that is larger than the client takes is not asked for again. A
// call without a deadline may therefore last that much longer than the detector needs, and one
// with a deadline until that. If nothing listens at the server's address for a second, the
// client gives up.
//
// The server's memory is bounded by ServeConfig.KeepAnswers and KeepAnswersFor. It costs an
// allocation and about a third of a microsecond a call, and about 150 bytes a connection; an
// answer that has not arrived costs about 300 bytes beside itself. That is little beside a call,
// so it is on unless KeepAnswers is negative. The answer is kept as the value that the method
// has set: a method must not change its reply, nor what that refers to, once it has returned.
// It is lost with the process: there is no "exactly once" (RIFL, SOSP '15, has that, with a
// memory that survives the server).
//
// [ContextOf] takes part: the context of a method whose client may come back does not end when
// its connection is lost, but only when the client has not come back for about five seconds.
//
// # Hedges
//
// With [Dialer].Hedge, a call of an idempotent method that takes long is sent to a
// second endpoint, and gets the answer that comes first. Hedges have a budget of
// their own and are charged to [Retry].Budget as well, so that they cannot make an
// overload worse. The attempt that comes late is not cut, since its server would go
// on all the same; breaker and balancer learn from it as from any other.
//
// In any case, with a Hedge or not, a call of an idempotent method that waits on an endpoint
// that becomes suspect is sent to another one at once. So a frozen server costs such a call
// 1.5 to 1.9 s, and not the 2.5 s until it is convicted; with a DetectionTime of 1 s, 0.4 s.
//
// # Errors
//
// An error of the method is a [ServerError], or a [*codec.Error] where JSON-RPC
// sent an error object, and after Close every call returns [ErrShutdown]; they
// come bare, as net/rpc's users compare them. Every other error of
// [Client.CallContext] is a [*CallError], which says whether the call may have run, and if
// so, why its server could not say more.
// [Client.Call] and [Client.Go] return the error of a connection, a dial or a codec
// bare, too, as net/rpc does:
//
//	idiom                                   holds for Call and Go
//	err == rpc.ErrShutdown                  after Close, or the end of a connection that was given to NewClient
//	err == io.ErrUnexpectedEOF              when the connection ended within the call
//	_, ok := err.(*net.OpError)             when it was reset, or could not be made
//	_, ok := err.(net.Error)                for the same, and for every *CallError
//	_, ok := err.(*json.UnsupportedTypeError)
//	                                        and whatever else a codec returns
//	_, ok := err.(rpc.ServerError)          when the method failed
//
// What net/rpc has no counterpart of is a [*CallError] from them as well: deadlines,
// [ErrUnavailable], [ErrUnresponsive], [ErrOverloaded], a dial that failed on this side, an
// exchange over HTTP.
//
// # What can be seen
//
// [Client.Stats] is the present state, and [DebugHandler] a page that shows it and what
// happened recently. [Client.Drain], [Client.Trip] and [Client.Reset] control an endpoint by
// hand; with its token, the page does, too. [ClientTrace] has a hook for everything that
// happens, [ClientTrace.Join] lets several listen, and [Dialer].Logger gets what an
// operator may want to know, with what repeats summed up. On a server, [ServerTrace] has hooks
// for the requests that are run, and [ServeStats] counts the others. Two modules of their own
// listen to both sides for OpenTelemetry (resilientrpc/rpcx/otelrpcx) and for Prometheus
// (resilientrpc/rpcx/promrpcx), the latter with alerts and a dashboard.
//
// # Goroutines
//
// A client has a prober for each endpoint in use; a reader for each connection, unless the
// connection is a socket and is idle or has one caller; for a short time a writer or a dial;
// with a resolver, one that runs it and one that applies its updates. A call of [Client.Go]
// needs a goroutine only while it waits: for room, for a connection, for a peer that does not
// read, or for its next attempt. The goroutine that receives its reply, mostly the reader,
// completes it. A connection that ends takes one for closing it. Close ends them all. It waits
// for the resolver and the probers, and for up to 2 s for the connections to close; a
// goroutine that is held up by a foreign codec, connection or dialer is left behind.
package rpcx
