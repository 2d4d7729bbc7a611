// Package rpcx is net/rpc's client for servers that may be slow, frozen or gone.
//
// [Dial] takes the place of rpc.Dial: the names, parameters and results are the
// same, and swapping the import is enough. An address may list replicas; then
// every call goes to one that works. A [Dialer] holds the options, and its zero
// value is what Dial uses. The servers stay as they are.
//
// # The way of one call
//
// A call asks the balancer for an endpoint, the endpoint's circuit breaker for
// leave, and the endpoint for its connection. Endpoints that are connected come first;
// only if there is none of them does a call wait for a dial, and those it passes over are
// dialed in the background. The request is encoded into memory and written together with
// others; a caller that has been alone on its connection for a few calls reads its own reply. The end of the
// attempt is looked up in a table, below, which says what breaker and balancer learn from
// it, and whether the call is tried again. The failure detector learns from bytes that come,
// and from answers that are owed.
//
// The breaker is the only gate: an endpoint takes calls if and only if its
// breaker lets them in. The failure detector watches for silence while an answer
// is owed. It pings a peer that gave no sign of life for [Dialer].Heartbeat, by
// calling a method that no server has, since "can't find service" is as good an
// answer as any. From phi 1 on others are preferred; at the detector's threshold
// the peer is convicted, which opens the breaker, closes the connection, and so
// ends every call that waits on it. A slow call to a live peer is never cut.
// While an endpoint is down, pings try it, not calls.
//
// [Dialer].Intercept stands before all of that, once for each call. [Client.Notify] sends what
// gets no answer, with the codecs of JSON-RPC. [Client.StandardClient] is for code that takes a
// client of package net/rpc itself.
//
// # What a silence means
//
// Not every server answers a ping beside other calls, or at all. An eighth of a slot
// after an endpoint was connected, it is pinged over a connection of its own, which then
// closes: so a server that hangs up behind unknown methods, or ignores them, loses no
// call. It is pinged no more ([EndpointStats].Pings, [ClientTrace].PingSupport, and the
// log say so), and calls try it when it was away. A server that answers is pinged over
// the connections that carry calls, an eighth of a slot after a call that takes long,
// which shows whether it answers beside that many others.
//
// At default settings a silence convicts after 2.5 s if the peer owes no more answers
// than it has owed beside a ping that it answered; if all that it owes is of methods that
// usually take less than a quarter of a slot; or if it is silent over another connection
// as well. It takes 30 s, twelve times as long, if the peer may have a reason for the
// silence and cannot be asked: nothing is known of it yet, it is pinged no more, it refuses
// further connections, or there is none beside the one that was given to [NewClient]. A
// peer that answers over another connection is not convicted; calls go there, and those
// on the silent connection wait as long. Any byte is life, and while this side decodes,
// no silence counts.
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
//	sent, and the connection broke          failure²  if idempotent
//	sent, and the peer was convicted        failure²  if idempotent
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
// (3) Latency is a method's. The deadline is a failure of the endpoint if the caller allowed
// twice what the method takes on average (or four times, up to 100 ms), here or at the
// fastest of the other endpoints, late answers included; or if for two slots of
// [Dialer].Heartbeat the endpoint has been silent, or the client has had no answer at all.
// It is ignored otherwise: that a method is never answered, while others are, is no fault of
// an endpoint.
//
// (4) A call whose own time is up is not tried again, whatever ended the attempt: this is
// for an attempt that had less, from [ClientTrace].AttemptStart.
//
// "Provably not sent" means that the end of the request cannot have left this
// process: no server runs a request before it has all of it. Moving such a call to an
// endpoint not yet tried is free; every other repetition waits for [Retry].BackOff, and
// is charged to [Retry].Budget when it is sent, if a server was given the call before. To
// wait for an endpoint is free. A call that is a retry of another call ([AsRetry]) has no
// others. A server that says when to
// come back (Retry-After) is not asked before; if that is later than in half a second,
// the call fails instead.
//
// What holds for connections holds for each exchange over HTTP (package
// codec/jsonhttp), which is a connection of its own: it fails one call, and a call that
// is given up ends its exchange. Which statuses prove that the method did not run is documented
// at jsonhttp.StatusError, to which errors.As leads.
//
// # Hedges
//
// With [Dialer].Hedge, a call of an idempotent method that takes long is sent to a
// second endpoint, and gets the answer that comes first. Hedges have a budget of
// their own and are charged to [Retry].Budget as well, so that they cannot make an
// overload worse. The attempt that comes late is not cut, since its server would go
// on all the same; breaker and balancer learn from it as from any other.
//
// # Errors
//
// An error of the method is a [ServerError], or a [*codec.Error] where JSON-RPC
// sent an error object, and after Close every call returns [ErrShutdown]; they
// come bare, as net/rpc's users compare them. Every other error of
// [Client.CallContext] is a [*CallError], which says whether the call may have run.
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
// hand, and the page does for those who have its token. [ClientTrace] has a hook for everything that
// happens, [ClientTrace.Join] lets several listen, and [Dialer].Logger gets what an
// operator may want to know, with what repeats summed up. On a server, [ServerTrace] has hooks
// for the requests that are run, and [ServeStats] counts the others. Two modules of their own
// listen to both sides for OpenTelemetry (resilientrpc/rpcx/otelrpcx) and for Prometheus
// (resilientrpc/rpcx/promrpcx), the latter with alerts and a dashboard.
//
// # Goroutines
//
// A client has a prober for each endpoint in use; for each connection a reader,
// unless the connection is a socket and idle, or its calls come one by one; and at times a writer or a dial; with a resolver one for that, and one
// for what it says or what a large fleet brings. A call that [Client.Go] has made
// takes a goroutine only while it waits for room, for a connection, for a peer that
// does not read, or for its next attempt; it is ended by the goroutine that brings
// its end, mostly the reader. A connection that ends takes one for closing it. Close ends
// them all, and waits for the resolver and the probers, and for 2 s for the connections to
// close; the others, which may be held up by a foreign codec, connection or dialer, are
// let go.
package rpcx
