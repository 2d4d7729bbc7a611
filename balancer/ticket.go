package balancer

import "time"

// A Ticket is one picked call. Its owner makes the call on Node and then calls
// Done exactly once. The zero Ticket has no node and its Done does nothing.
type Ticket struct {
	node  *Node
	start int64
}

// Node returns the node to call, or nil for the zero Ticket.
func (t Ticket) Node() *Node { return t.node }

// Done ends the call: the node's in-flight count goes down and its statistics
// learn from the outcome. It is right to call it for a node that has meanwhile
// been removed. It never blocks and does not allocate. Calling it twice for one
// pick corrupts the in-flight count.
func (t Ticket) Done(now time.Time, o Outcome) {
	if t.node != nil {
		t.node.end(t.start, t.node.owner.nanos(now), o)
	}
}
