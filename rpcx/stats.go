package rpcx

import (
	"encoding/json"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/errtext"
)

// Stats has the counts of a client since it was made, and its present state. Its JSON has
// the names of the fields, breaker states as words, causes as texts and durations in
// nanoseconds; it cannot be decoded into a Stats.
type Stats struct {
	At       time.Time // when it was taken
	Calls    uint64    // calls begun
	Failures uint64    // calls that returned an error, a ServerError included
	Retries  uint64    // attempts after one that was given to a server, without hedges
	Hedges   uint64    // second attempts, because a call took long or its endpoint was suspect
	// HedgesWon counts the hedges whose answer came first.
	HedgesWon uint64
	// DoubtsResolved counts the calls whose connection broke and whose server then said what
	// became of them. DoubtsUnresolved counts those whose server keeps answers but could not
	// say it. See "Recall of lost answers" in the package documentation.
	DoubtsResolved, DoubtsUnresolved uint64
	InFlight                         int // calls that have begun and not ended
	// Budget is the number of retries that are allowed now: see Retry.Budget. It is -1
	// without a limit.
	Budget    float64
	Listed    int             // endpoints in the set
	Endpoints []EndpointStats // those of the set that this client uses: see Dialer.Subset
}

// EndpointStats is the present state of one endpoint. The breaker's fields are of one moment;
// counts are read one after the other while calls continue.
type EndpointStats struct {
	Address string        // of a given connection, that of its peer; "peer" if it has none
	State   breaker.State // of the endpoint's breaker
	Since   time.Time     // when the state began
	// DownSince is when the breaker last left Closed, however often the endpoint has been
	// probed since. It is zero while the breaker is closed or disabled.
	DownSince  time.Time     `json:",omitzero"`
	Cause      error         // why the breaker is not closed
	RetryAfter time.Duration // while it is open: until the next probe
	Trips      uint64        // how often the breaker has opened
	Window     Window        // the recent calls by which the breaker decides
	Suspect    bool          // phi has reached 1: others are preferred
	Phi        float64       // the detector's level now
	Pings      PingSupport   // whether it answers pings
	Connected  bool          // there is a connection for an attempt
	// MetaSupport says whether the server understands metadata: deadlines, cancellations,
	// traces and lost answers. A server of Serve with the codecs of this module does.
	MetaSupport codec.MetaSupport
	Conns       int           // open connections, including those that take no new calls
	InFlight    int           // attempts in flight, including those that wait for a connection
	Latency     time.Duration // the balancer's peak EWMA; 0 before the second call
	// P50, P95 and P99 are quantiles of the durations of successful attempts in the last 30
	// to 60 seconds, rounded up by at most an eighth; 0 if there were none.
	P50, P95, P99 time.Duration
	// Share is this endpoint's share, from 0 to 1, of the successful attempts of that
	// time.
	Share float64
	Picks uint64 // attempts for which the balancer picked it, whether or not they were sent
	// BytesRead and BytesWritten are those of all its connections; bytes that wait to be
	// written count as written. They are 0 for a client of NewClientWithCodec, which has no
	// access to the connection.
	BytesRead, BytesWritten uint64
	// ServerRunning is how many requests of all clients the server ran when it last told this
	// client, in the answer to a call or a ping; -1 if it is unknown, as with all servers but
	// those of Serve.
	ServerRunning int
	Priority      int               // see Endpoint.Priority
	Metadata      map[string]string // the resolver's, not to be changed
}

// Window counts the recent calls (see breaker.Config.Window) by which a closed breaker
// decides: those that have ended, and those of them that failed or were slow. The counts are
// 0 in all other states.
type Window struct {
	Calls, Failures, Slow int
	Length                time.Duration // of the window
}

// Stats returns the present figures. It is cheap enough to be called every second, even
// with ten thousand endpoints.
func (c *Client) Stats() Stats {
	now := time.Now()
	s := Stats{
		At: now, Calls: c.calls.Load(), Failures: c.failures.Load(), Retries: c.retries.Load(),
		Hedges: c.hedges.Load(), HedgesWon: c.hedgesWon.Load(),
		DoubtsResolved: c.resolved.Load(), DoubtsUnresolved: c.unresolved.Load(),
		InFlight: int(c.underway.calls.Load()), Budget: c.budget.Level(), Listed: len(c.balancer.Nodes()),
	}
	all := c.endpoints()
	s.Endpoints = make([]EndpointStats, len(all))
	succeeded, total := make([]uint64, len(all)), uint64(0)
	for i, e := range all {
		s.Endpoints[i], succeeded[i] = e.stats(now)
		total += succeeded[i]
	}
	for i, n := range succeeded {
		s.Endpoints[i].Share = float64(n) / float64(max(total, 1))
	}
	return s
}

// stats also returns the number of recent successful attempts.
func (e *endpoint) stats(now time.Time) (EndpointStats, uint64) {
	b, n := e.breaker.Stats(now), e.node.Stats(now)
	phi := e.detector.Phi(now)
	conns, bytes := e.pool.stats()
	took := e.latencies.Read(now.Sub(e.client.born))
	return EndpointStats{
		Address: e.addr, State: b.State, Since: b.Since, DownSince: b.DownSince, Cause: b.Cause, RetryAfter: b.RetryAfter, Trips: b.Trips,
		Window:  Window{Calls: b.Calls, Failures: b.Failures, Slow: b.Slow, Length: b.Window},
		Suspect: phi >= suspectPhi, Phi: phi, Pings: e.support(), Connected: e.pool.connected(), Conns: conns, MetaSupport: e.metaSupport(),
		InFlight: n.InFlight, Latency: n.Latency, P50: took.Quantile(.5), P95: took.Quantile(.95), P99: took.Quantile(.99),
		Picks: n.Picks, BytesRead: bytes.read, BytesWritten: bytes.written,
		ServerRunning: int(e.running.Load()) - 1,
		Priority:      e.node.Priority(), Metadata: e.replica.listed.Load().Metadata,
	}, took.Count
}

// metaSupport is what the newest connection knows of its server.
func (e *endpoint) metaSupport() codec.MetaSupport {
	if c := e.last.Load(); c != nil {
		return c.Metadata()
	}
	return codec.MetaUnknown
}

// String returns s as JSON. The following publishes the same text:
//
//	expvar.Publish("calc", expvar.Func(func() any { return client.Stats() }))
func (s Stats) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		return "rpcx: " + err.Error() // out of reach: every field can be encoded
	}
	return string(b)
}

// MarshalJSON implements [json.Marshaler].
func (s EndpointStats) MarshalJSON() ([]byte, error) {
	type fields EndpointStats // without this method
	var cause string
	if s.Cause != nil {
		cause = errtext.Of(s.Cause)
	}
	return json.Marshal(struct {
		fields
		State       string
		MetaSupport string
		Cause       string `json:",omitempty"`
	}{fields(s), s.State.String(), s.MetaSupport.String(), cause})
}
