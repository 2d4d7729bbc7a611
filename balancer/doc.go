// Package balancer picks an endpoint for each call, by the latencies, errors and calls in
// flight of the client's own calls. It never blocks.
//
// Each call takes three lines:
//
//	ticket, err := b.Pick(now, in) // ErrNoEndpoints, ErrAllDown or ErrAllFull
//	// make the call on ticket.Node().Value()
//	ticket.Done(now, balancer.Success) // or AppError, Failure, Canceled, NotSent
//
// Update sets the list of endpoints. SetState sets the state of one, as a circuit
// breaker or a failure detector reports it. Pick and Done take no lock, and allocate
// nothing unless a snapshot is due.
//
// # States
//
// Pick prefers Ready nodes to Suspect ones, and never picks a Down or Draining one. If
// all are down, or full (Config.MaxInFlight), Pick returns an error. There is no "panic
// threshold", at which all nodes would be used again: with two of three replicas down it
// would send two thirds of the calls to them. A node that a call has tried
// (PickInfo.Try) is picked again only if there is no other.
//
// # Score
//
// The default policy, P2C, prefers the lowest
//
//	latency × (1 + 100·excess errors) × (1 + 100·excess application errors) × suspicion ×
//	(1 + calls in flight · mean weight / weight)
//
// The fleet is all nodes of the balancer.
//
//   - Latency is Finagle's peak EWMA of successful calls: it rises at once and falls over
//     10 s. It rises only as far as two calls in a row are slow, since one may be slow by
//     chance. An idle node's latency drifts to the fleet's mean. While calls are in flight,
//     it is at least the time since the node's last reply, or since it was last idle if that
//     is later, so that a node that hangs is avoided before the first timeout. A latency
//     counts as equal to the fleet's if it is within a factor of 1.75 of it, or within a
//     millisecond.
//   - Excess errors are the node's error rate less the fleet's. So a failing node is
//     avoided even if it fails fast (fasthttp#865), and if all nodes fail alike, their
//     latencies still decide. See Trials for how a node is used again.
//   - Application errors (AppError) often depend on the call, not on the node. So only
//     the excess above a quarter of the calls counts.
//   - Suspicion is 1 unless Node.SetSuspicion sets it.
//   - If servers report their load (Node.Report), the calls of other clients count as
//     calls in flight, too.
//
// A call that was not sent changes nothing, and a canceled one can only raise the
// latency. If even nodes with an average error rate fail calls, the fleet is overloaded
// and needs all its capacity: then excess errors count by their fourth power, and
// are forgotten sooner. If the next calls to nodes that have just failed one fail, too, it is
// not overload: those nodes have died, and excess errors count in full.
//
// # Load in replies
//
// A client sees only its own calls. If there are many clients and nodes, it calls each
// node too seldom to know its present load. A server may report in each reply how many
// calls it runs. The caller passes this to the node:
//
//	ticket.Node().Report(now, running) // before ticket.Done
//
// P2C then adds the calls of other clients to its own in the score, and compares 16
// nodes of a large fleet instead of 2 to 4. A report ages: within about a second its value
// drifts to the fleet's mean. On 100 servers with 100 clients, at nine tenths of their
// capacity (internal/sim, experiment D), the latencies are:
//
//	                      p50       p90       p99
//	without reports    118 ms    337 ms    786 ms
//	with reports        88 ms    190 ms    366 ms
//	Prequal            118 ms    219 ms    373 ms
//
// Prequal (NSDI 2024; here a port) sends three probes with each call. With reports in
// replies instead of probes, Prequal's rule has a p99 above 400 ms.
//
// In an overloaded fleet reports count less or not at all: otherwise all clients would
// send their calls to the few nodes with room. Other policies do not use reports.
//
// # Trials
//
// A node that fails calls is avoided, and so only a call can show that it works again. P2C
// sends it one, a trial, after a quarter of the time for which it has failed calls, but not
// before 0.6 s. If the trial succeeds, the node has its share again at once; if it fails, the
// next wait is longer. A trial is sent only while no other call to the node is in flight.
//
// A client has 13 trials that may fail, and another one for each 2000 calls. While it has
// spent less than 5 of them, a trial waits for a second at most; when it has spent all, it
// waits for 15 s. So a node that fails costs a client with many calls at most 13 of them and
// one in 2000. With few calls to a node, trials are rarer: they are at most a quarter of its
// share of the calls.
//
// # Slow start
//
// A node that is added to a list that is not empty, or was Down, begins with the fleet's mean
// latency. It is considered in a tenth of the picks at first, and in all of them after
// Config.SlowStart. This applies to all policies. P2C considers such a node earlier if
// the other nodes are busy.
//
// # Priorities
//
// Endpoints with a higher Priority number get calls only while none with a lower number
// is up, as with DNS SRV records (RFC 2782).
//
// # Subsets
//
// A client of 64 endpoints or more uses a part of them, so that it calls each often enough
// to know its latency: 20 at least, and more if it has more traffic. See Config.Subset.
// Other endpoints need no connection. See Balancer.InUse.
//
// # Snapshots
//
// Pick reads an immutable snapshot of the nodes by state, and checks the state of the
// node that it picks. So a change of state takes effect at once. With up to 64 endpoints
// the next Pick rebuilds the snapshot. With more, a Pick rebuilds it after 10 ms, or when
// it would otherwise pick a node of a worse state.
//
// # Time
//
// Methods take the current time and use its monotonic reading. If a time is earlier
// than a previous one, no time has passed. The package has no timer and no goroutine and
// does not read the clock, so it can be simulated in virtual time.
package balancer
