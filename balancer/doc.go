// Package balancer picks an endpoint for each call by what the calls themselves
// show, and never waits.
//
// The contract of a caller is three lines:
//
//	ticket, err := b.Pick(now, in) // ErrNoEndpoints, ErrAllDown or ErrAllFull
//	// make the call on ticket.Node().Value()
//	ticket.Done(now, balancer.Success) // or AppError, Failure, Canceled, NotSent
//
// The list of endpoints is set with Update, and what a circuit breaker or a
// failure detector knows about one with SetState. Pick and Done take no lock, and
// allocate nothing unless a snapshot is due.
//
// # Tiers
//
// Ready nodes come before Suspect ones, and Down and Draining ones are never
// picked. There is no share of failed nodes from which on all are used again:
// with two of three replicas down it would send two thirds of the calls to
// them. When all are down, or full (Config.MaxInFlight), Pick says so. Nodes that a
// call has tried already (PickInfo.Try) are picked again only when there is no other.
//
// # Score
//
// The default policy, P2C, prefers the lowest
//
//	latency × (1 + 100·excess errors) × (1 + 20·excess refusals) × suspicion ×
//	(1 + calls in flight · mean weight / weight)
//
// Latency is the peak EWMA of successful calls (Finagle's: up at once, down over
// 10 s), drifts to the fleet's while the node is idle, and is at least the time
// since the node's last sign of life while calls are in flight, so that a node
// that hangs shows before the first timeout. One within a factor of 1.75 of the
// fleet's counts as the fleet's. Errors count as far as the node has more of
// them than the fleet. Refusals are errors of the application (AppError), which are
// often a matter of the calls: only what exceeds the fleet's share by more than a
// quarter of the calls counts. Suspicion is 1 unless a failure detector says
// otherwise (Node.SetSuspicion).
//
// If servers report how many calls they run (Node.Report), those of other clients count
// as calls in flight, too. See below.
//
// A failing node thus neither looks fast (fasthttp#865) nor, when all fail
// alike, hides which one is slow. Nothing is learned from a call that was not
// sent, and from a canceled one only that it took at least so long. When even nodes
// that fail no more than the others fail calls, the fleet is short of capacity:
// then errors count in proportion to their square and are forgotten sooner, as
// what a bad node can still do is needed.
//
// # Load in replies
//
// A client sees only its own calls. Of a fleet with many clients it calls each node too
// seldom to know from latencies which has room now. A server may say with each reply how
// many calls it runs, and the caller passes that on:
//
//	ticket.Node().Report(now, running) // before ticket.Done
//
// P2C then adds the calls of other clients to its own in the score, and looks at 16 nodes
// of a large fleet, of which it may have fresh news of one with room. There are no
// probes: a report ages, within about a second, to the mean of the fleet. On 100 servers
// with 100 clients at nine tenths of their capacity (internal/sim, experiment D), the
// calls take:
//
//	                      p50       p90       p99
//	without reports    122 ms    320 ms    725 ms
//	with reports        89 ms    190 ms    364 ms
//	Prequal            118 ms    219 ms    373 ms
//
// Prequal (NSDI 2024), here a port, sends three probes with each call. Its rule, which
// takes the fastest of the nodes that are not among the busiest, has a p99 above 400 ms
// without them: a probe tells the latency at the present load, and a reply does not.
//
// Reports count the less the more even sound nodes fail calls: in a fleet that is short
// of capacity the few with room would be flooded. Without reports nothing changes.
// Other policies do not look at them.
//
// # Slow start
//
// A node that is added later or comes back from Down is taken for an average
// one and considered at random, at first for a tenth of the picks. All policies
// honor it. P2C considers it in any case once the others are so busy that it
// must relieve them.
//
// # Priorities
//
// Endpoints of a higher Priority number get calls only while none of a lower one
// is up, as with DNS SRV records (RFC 2782).
//
// # Subsets
//
// A client of 64 endpoints or more uses a part of them, 20 at least and more
// with more traffic, so that it calls each often enough to know it. See
// Config.Subset. InUse says which they are, for all else need not be connected.
//
// # Snapshots
//
// Pick reads an immutable snapshot of the nodes by state and checks the state of
// the node it picks. A change of state takes effect at once. The snapshot is
// rebuilt by the next Pick for up to 64 endpoints, and for more at most every 10 ms, by
// the first Pick that is due or would go down a tier.
//
// # Time
//
// Methods take the current time and use its monotonic reading; a time before one
// already seen counts as no time passed. There is no timer and no goroutine, and
// the package does not read the clock, so it can be simulated in virtual time.
package balancer
