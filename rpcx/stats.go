package rpcx

import (
	"time"

	"resilientrpc/breaker"
)

// Stats is what a client has seen so far.
type Stats struct {
	Calls     uint64          // calls begun
	Failures  uint64          // calls that returned an error, a ServerError included
	Retries   uint64          // repetitions after a wait
	Listed    int             // endpoints in the set
	Endpoints []EndpointStats // those of the set that this client uses: see Dialer.Subset
}

// EndpointStats is the present state of one endpoint.
type EndpointStats struct {
	Address   string
	State     breaker.State
	Cause     error   // why the breaker is not closed
	Suspect   bool    // phi has reached 1: others are preferred
	Phi       float64 // the detector's level now
	Connected bool
	InFlight  int
	Latency   time.Duration // smoothed, peaks weigh more; 0 before the first call
	Picks     uint64        // attempts that were sent this way
	// ServerRunning is how many requests the server ran when it last answered a ping;
	// -1 if it does not say, as only one of Serve does.
	ServerRunning int
	Priority      int
	Metadata      map[string]string // the resolver's, not to be changed
}

// Stats returns the present figures, each read by itself.
func (c *Client) Stats() Stats {
	now := time.Now()
	s := Stats{Calls: c.calls.Load(), Failures: c.failures.Load(), Retries: c.retries.Load(), Listed: len(c.balancer.Nodes())}
	for _, e := range c.endpoints() {
		s.Endpoints = append(s.Endpoints, e.stats(now))
	}
	return s
}

func (e *endpoint) stats(now time.Time) EndpointStats {
	b, n := e.breaker.Stats(now), e.node.Stats(now)
	phi := e.detector.Phi(now)
	return EndpointStats{
		Address: e.addr, State: b.State, Cause: b.Cause,
		Suspect: phi >= suspectPhi, Phi: phi, Connected: e.pool.connected(),
		InFlight: n.InFlight, Latency: n.Latency, Picks: n.Picks,
		ServerRunning: int(e.running.Load()) - 1,
		Priority:      e.node.Priority(), Metadata: e.replica.listed.Load().Metadata,
	}
}
