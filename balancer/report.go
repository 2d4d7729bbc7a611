package balancer

import "time"

// Report says how many calls n's server runs, for all of its clients, as it has said
// in a reply that came at now. The call of this reply counts: report first, and then
// end the ticket. What exceeds this client's own calls in flight is the load of others,
// which Score adds to them from the first report of any node on. Less than the
// own calls is no load of others.
//
// A report is of a moment. The client's own calls are known all the time, so those
// that begin and end afterwards change the sum at once. The part of others moves from
// what was reported towards the fleet's mean, half of the way in 0.7 s, so that a
// node that was busy is tried again though no reply comes from it; a node that has
// never reported is taken for an average one.
//
// Report may be called at any time, by anyone; it never waits and does not allocate.
// Without it, picks are by what the client itself knows.
func (n *Node) Report(now time.Time, running int) {
	tick := max(tickOf(n.owner.nanos(now)), 1) // the zero word is no report
	others := float64(max(int64(running)-n.inflight.Load(), 0))
	n.others.set(others, tick)
	n.owner.fleet.others.follow(others/float64(n.weight.Load()), tick)
}

const (
	// reportTau is the time in which a report loses most of its meaning. From 0.4 to
	// 2 s make little difference for calls of 10 to 100 ms.
	reportTau  = time.Second
	reportRate = (1 << tickShift) / float64(reportTau) // per tick
	// leastOthers is the number of others' calls below which a node counts as idle.
	leastOthers = 0.5
	// informed is how many nodes a pick looks at when servers report their load. Most
	// of what a client knows of its nodes is old, so that of few it seldom knows one with
	// room. In the testbed of Prequal's paper eight nodes are as good as its probes, and
	// sixteen better.
	informed = 16
)

// looks returns how many of a view's nodes, of more than samples, a pick looks at, at
// most.
func (f norm) looks(nodes int) int {
	return min(samples+int((informed-samples)*f.reports()), nodes)
}

// foreign returns how many calls of other clients n's server is taken to run.
func (n *Node) foreign(tick uint32, fleet norm) float64 {
	return n.others.at(tick, reportRate, max(fleet.others, 0)*float64(n.weight.Load()))
}
