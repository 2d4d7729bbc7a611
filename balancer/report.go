package balancer

import "time"

// Report records how many calls n's server runs for all clients, as the server said in a
// reply that arrived at now. The call of the reply is one of them, so call Report before
// Ticket.Done.
//
// The calls in excess of this client's own calls in flight are those of other clients.
// Score adds them to the client's own. With the age of the report their number moves to the
// mean of all nodes, half of the way in 0.7 s, so that a node that was busy is tried again.
// A node without a report has the mean.
//
// Report may be called concurrently. It never blocks and does not allocate.
func (n *Node) Report(now time.Time, running int) {
	tick := max(tickOf(n.owner.nanos(now)), 1) // the word 0 means that there is no report
	others := float64(max(int64(running)-n.calls.inflight(), 0))
	n.others.set(others, tick)
	n.owner.fleet.others.follow(others/float64(n.weight.Load()), tick)
}

const (
	// reportTau is the time constant of a report. Values from 0.4 to 2 s make little
	// difference for calls of 10 to 100 ms.
	reportTau  = time.Second
	reportRate = (1 << tickShift) / float64(reportTau) // per tick
	// leastOthers is the number of other clients' calls below which a node counts as idle.
	leastOthers = 0.5
	// reportSamples is the number of nodes that a pick compares if servers report their
	// load. Most reports are old, so few nodes seldom include one that is known to have
	// room. In the testbed of Prequal's paper, eight nodes are as good as its probes,
	// and sixteen are better.
	reportSamples = 16
)

// maxSamples returns the largest number of nodes that a pick compares, of a view with
// more than samples nodes.
func (f norm) maxSamples(nodes int) int {
	return min(samples+int((reportSamples-samples)*f.reports()), nodes)
}

// otherCalls returns the estimated number of calls that n's server runs for other clients.
func (n *Node) otherCalls(tick uint32, fleet norm) float64 {
	return n.others.at(tick, reportRate, max(fleet.others, 0)*float64(n.weight.Load()))
}
