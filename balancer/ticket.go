package balancer

import "time"

// A Ticket is a pick for one call. Make the call on Node, then call Done exactly once. The
// zero Ticket has no node, and its Done does nothing.
type Ticket struct {
	node  *Node
	start int64
}

// Node returns the node to call, or nil for the zero Ticket.
func (t Ticket) Node() *Node { return t.node }

// Done reports the end of the call: it updates the node's number of calls in flight and
// its statistics. Call it even if the node has been removed. It never blocks and does not
// allocate. A second Done for one pick makes the number of calls in flight wrong.
func (t Ticket) Done(now time.Time, o Outcome) {
	if t.node != nil {
		t.node.end(t.start, t.node.owner.nanos(now), o)
	}
}
