// Package rpcx is a client for net/rpc servers that may be slow, frozen or gone.
//
// [Dial] replaces rpc.Dial: the names, parameters and results are the same, and
// swapping the import is enough. An address may list replicas; then every call goes
// to one that works. A [Dialer] holds the options, and Dial uses its zero value. The
// servers stay as they are.
//
// An endpoint is a replica as the client knows it, and a peer is the process at the other
// end of a connection.
//
// # The path of one call
//
// A call asks the balancer for an endpoint, the endpoint's circuit breaker for a permit,
// and the endpoint for its connection. The balancer prefers connected endpoints. A call waits
// for a dial only if no endpoint is connected; unconnected endpoints are dialed in the
// background. The request is encoded into memory and written together with others. A
// caller that has been alone on its connection for a few calls reads its own reply. The
// table below has the ends of an attempt, what the breaker and the balancer learn from each,
// and whether the call is tried again. The failure detector learns from bytes that arrive
// and from answers that are overdue.
//
// The breaker is the only gate: an endpoint takes calls if and only if its breaker permits
// them. The failure detector watches for silence while an answer is due. If a peer has
// been silent for [Dialer].Heartbeat, the client pings it: it calls a method that no service
// has, and the error "can't find service" shows that the server works. From phi 1 on, the
// endpoint is suspect, and the balancer prefers others. At the detector's threshold the
// endpoint is convicted: its breaker opens, its connections are closed, and the calls that
// wait on them fail. The breaker stays closed ([Spared]) if more than half of the endpoints would
// then be convicted, so also if there is but one, or if most fell silent together: the fault is
// probably on this side. A slow call to a live peer is never cut off. While an endpoint is down,
// the client probes it by pings, not by calls.
//
// [Dialer].Intercept wraps each call once, with all its attempts. [Client.Notify] sends
// notifications, with the codecs of JSON-RPC. [Client.StandardClient] is for code that takes
// a client of package net/rpc itself.
//
// # What a silence means
//
// Not every server answers pings, or answers them while it works on calls.
//
//   - An eighth of a heartbeat (125 ms) after it has connected to an endpoint, the client
//     opens a second connection, sends one ping, and closes it. So no call is lost if the
//     server reacts badly to an unknown method. A server that ignores pings, or whose
//     connections end after them, is not pinged any more ([EndpointStats].Pings,
//     [ClientTrace].PingSupport, and the log say so). After an outage, calls probe it. Ten
//     heartbeats later, or more, a server that has answered over a new connection is asked
//     again: it may be another one.
//   - A server that answers is pinged over the connections of calls. When a call has waited
//     for an eighth of a heartbeat, the client sends a ping, to learn whether the server
//     answers pings while that many calls wait.
//   - After 60 heartbeats without a call, the client pings only every tenth heartbeat.
//
// At default settings, a silence of 2.5 s convicts if one of these holds:
//
//   - The peer has answered a ping while at least as many calls waited.
//   - Each waiting call is of a method that usually takes less than a quarter of a heartbeat.
//   - A second connection is silent, too.
//
// Otherwise the peer may merely be busy. If a ping cannot tell, the silence must last for 30 s
// (twelve times as long): if nothing is known of the peer yet, if it is not pinged, if it
// refuses a second connection, or if the client has only the connection that was given to
// [NewClient]. A peer that answers over another connection is not convicted; new calls go
// there, and the calls on the silent connection wait for up to 30 s. Any byte is a sign of
// life, and time that this side spends decoding is no silence.
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
// Each line of the file is an address, followed by weight=N and priority=N if they are
// not the default. Comments start with #, and empty lines are ignored:
//
//	10.0.0.1:7001              # weight=1 priority=0
//	10.0.0.2:7001 weight=2     # gets twice as many calls
//	10.9.0.1:7001 priority=1   # gets calls only while none with a lower number can take them
//
// The file is read every second. If its last line does not end in a newline, it may be
// incomplete, and is used after it has not changed for 5 seconds. So replace the file by
// renaming another one. If a source fails, the last good set stays in use. Package
// [resilientrpc/rpcx/resolver] documents the three sources, and [Dialer].Resolver takes any
// other. With TLS, note that the names of SRV records are not authenticated
// ([Dialer].TLSConfig).
//
// # Endpoints that come and go
//
// An endpoint that is removed from the set finishes its calls. One that is added is
// connected within a second, and before that gets calls only if no other endpoint can take
// them; then its share rises slowly. While all endpoints are down, the client makes a
// [Refresher] query its source. A client uses only a part of a large fleet
// ([Dialer].Subset); the other endpoints cost no connection, no ping and no breaker.
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
// route or permission, or no answer from the name service. The dial is then tried again
// with pauses of up to a second, or of up to five if another connection works.
//
// (2) A lost connection is one failure, however many calls were on it.
//
// (3) The deadline is a failure of the endpoint if the attempt had at least twice the time
// that the method takes on average (four times or 100 ms, whichever is less, if it takes less
// than 50 ms). The average is that of this or of the fastest other endpoint, whichever is
// less, and includes late answers. The deadline is a failure, too, if the endpoint was silent
// for two heartbeats, or for four times the average if that is longer. If no endpoint has
// answered the method yet, the deadline is a failure if the attempt had 100 ms or more and the
// client had no answer from any endpoint for two heartbeats. Otherwise it is ignored: a method
// that is never answered, while others are, does not prove a fault of the endpoint.
//
// (4) A call is not tried again after its own deadline. This row is for an attempt whose
// deadline, set by [ClientTrace].AttemptStart, is earlier.
//
// (5) A server of [Serve] is asked first what became of a call that is not idempotent: see
// "Recall of lost answers". A call that it has not run is tried again, elsewhere.
//
// "Provably not sent" means that the end of the request cannot have left this process: no
// server runs a request before it has all of it. Such a call moves at once to an endpoint not
// yet tried, without a charge to the budget. Any other retry waits for [Retry].BackOff, and is
// charged to [Retry].Budget if a server was given an earlier attempt. Waiting for an endpoint
// is free. A call that is itself a retry ([AsRetry]) is not retried. If a server says when to
// try again (Retry-After), the client waits for that long, or fails the call if it is more
// than half a second.
//
// Over HTTP (package codec/jsonhttp), each exchange counts as a connection of its own: its
// failure fails one call, and a canceled call ends its exchange. The comment of
// jsonhttp.StatusError says which statuses prove that the method did not run; errors.As finds
// that error.
//
// # Recall of lost answers
//
// When a connection breaks, the client knows only that its calls may have run. With the codecs
// of package codec, it asks a server of [Serve] over a new connection what became of each call
// that is not idempotent:
//
//	answer          what follows                                       [CallError].Recall
//	the method's    it is the answer to the call                       –
//	it runs         the call waits for it over the new connection      –
//	not run         proof: the call may go to any endpoint             –
//	forgotten       the call fails, and may have run                   RecallForgotten
//	another server  the same: the server with the call has died, or    RecallServerGone
//	                several servers share the address
//	none in time    the same                                           RecallUnanswered
//
// Before it answers, the server closes the old connection, and runs no further request of it.
// So the answer is final, even if requests are still in a buffer or a proxy, and the question
// can be repeated if the new connection breaks, too.
//
// A call is identified by the session of its connection and its number in it. The session is
// random; one half is the same for all connections to one server process. The client asks for
// it on each connection, and calls that are not idempotent wait for the answer. The number is
// the position among the requests of the connection, which both ends count. A call that is not
// idempotent carries its number, and how many requests before it have no answer yet: 2 to 6
// bytes in gob. The server keeps the answer until a later request shows that the client has
// it. An idempotent call carries nothing, since it can be retried. Nothing of this is sent to
// other servers, nor before the first answer has shown what kind of server it is.
//
// The client repeats the question until it has an answer or the call's deadline passes. Without
// a deadline it does so for Dialer.DialTimeout, plus the time for which the method runs or a
// long answer arrives; the call may last that much longer than the detector needs. If nothing
// listens at the server's address for a second, the client gives up. It does not ask again for
// an answer that is larger than its limit.
//
// The server's memory is limited by ServeConfig.KeepAnswers and KeepAnswersFor. To keep answers
// costs an allocation and about a third of a microsecond for each call, about 150 bytes for
// each connection, and about 300 bytes for each answer that has not arrived. It is on unless
// KeepAnswers is negative. The answer is kept as the value that the method has set: a method
// must not change its reply, nor what that refers to, once it has returned. It is lost with
// the process: there is no "exactly once" (RIFL, SOSP '15, achieves that with a memory that
// survives the server).
//
// If the client of a method may ask for its answer, the context of [ContextOf] does not end when
// the connection is lost, but when the client has not connected again for about five seconds.
//
// # Hedges
//
// With [Dialer].Hedge, a call of an idempotent method that takes long is sent to a
// second endpoint, too, and gets the first answer. Hedges have a budget of their own and
// are charged to [Retry].Budget as well, so that they cannot make an overload worse. The
// client sends a cancellation for the slower attempt to a server of [Serve]; breaker and
// balancer learn from the end of that attempt as from any other.
//
// With or without a Hedge, a call of an idempotent method that waits on an endpoint that
// becomes suspect is sent to another one at once. So a frozen server delays such a call by
// 1.5 to 1.9 s, and not by the 2.5 s until it is convicted; with a DetectionTime of 1 s, by
// 0.4 to 0.5 s.
//
// # Errors
//
// An error of the method is a [ServerError], or a [*codec.Error] if the server sent an
// error object of JSON-RPC. After Close every call returns [ErrShutdown]. These are not
// wrapped, since programs compare them by == or by type. Any other error of
// [Client.CallContext] is a [*CallError], which says whether the call may have run, and if
// so, why the server could not say more. [Client.Call] and [Client.Go] do not wrap the error
// of a connection, a dial or a codec, either, as net/rpc does not:
//
//	idiom                                   holds for Call and Go
//	err == rpc.ErrShutdown                  after Close, or the end of a connection that was given to NewClient
//	err == io.ErrUnexpectedEOF              when the connection ended within the call
//	_, ok := err.(*net.OpError)             when it was reset, or could not be made
//	_, ok := err.(net.Error)                as for *net.OpError, and for every *CallError
//	_, ok := err.(*json.UnsupportedTypeError)
//	                                        and whatever else a codec returns
//	_, ok := err.(rpc.ServerError)          when the method failed
//
// Where net/rpc has no error, they return a [*CallError] as well: for deadlines,
// [ErrUnavailable], [ErrUnresponsive], [ErrOverloaded], a dial that failed on this side, and
// an exchange over HTTP.
//
// # Observability
//
// [Client.Stats] is the present state, and [DebugHandler] a page that shows it and the recent
// events. [Client.Drain], [Client.Trip] and [Client.Reset] control an endpoint by hand; with
// its token, the page does, too. [ClientTrace] has a hook for everything that happens;
// [ClientTrace.Join] combines several sets of hooks. [Dialer].Logger gets what an operator may
// want to know, with repeated messages counted. On a server, [ServerTrace] has hooks for the
// requests that are run, and [ServeStats] counts the others. Two separate modules have hooks
// of both sides for OpenTelemetry (resilientrpc/rpcx/otelrpcx) and for Prometheus
// (resilientrpc/rpcx/promrpcx, with alerts and a dashboard).
//
// # Goroutines
//
// A client has a prober for each endpoint in use; a reader for each connection, unless the
// connection is a socket and is idle or has one caller; for a short time a writer, a dial or
// the closing of a connection; and with a resolver, one goroutine that runs it and one that
// applies its updates. A call of [Client.Go] needs a goroutine only while it waits: for room,
// for a connection, for a peer that does not read, or for its next attempt. The goroutine that
// receives its reply, mostly the reader, completes it. Close ends all of them. It waits for
// the resolver and the probers, and for up to 2 s for the connections to close; a goroutine
// that is blocked in a codec, connection or dialer of the user's is left behind.
package rpcx
