package balancer

import "time"

// A Policy decides which of several equally eligible nodes gets a call. P2C,
// RoundRobin, WeightedRoundRobin, Random and Hash make the ones of this
// package. A Policy value may serve any number of balancers: what has to be
// remembered from pick to pick belongs to the View's balancer (Seq, Rand) and
// to the nodes.
type Policy interface {
	// Picker returns the picker for one immutable view. It is called whenever
	// endpoints or their states change, with no lock held, perhaps
	// concurrently, and perhaps for a view that is never used. It must not
	// call the Balancer.
	Picker(v *View) Picker
}

// A Picker picks from the nodes of its View. Pick may be called concurrently;
// it should not block or allocate. It returns nil if it finds no node.
//
// What it returns is checked: a node that has left the view's state in the
// meantime, or that this call has already tried, makes the balancer ask again
// a few times and then choose by itself.
type Picker interface {
	Pick(now time.Time, in PickInfo) *Node
}

// PickInfo is what a caller knows about the call to be placed. The zero value
// is right for a first attempt without a key.
type PickInfo struct {
	// Key chooses the node under the Hash policy. HasKey tells a key of 0 from
	// none; a call without key goes to a random node.
	Key    uint64
	HasKey bool

	ntried int
	tried  [4]*Node
}

// Try notes that the call has been sent to n, so that its next pick avoids n
// while there is another choice. The last four nodes are remembered.
func (in *PickInfo) Try(n *Node) {
	in.tried[in.ntried%len(in.tried)] = n
	in.ntried++
}

// Tried reports whether n is one of the nodes noted with Try.
func (in *PickInfo) Tried(n *Node) bool {
	for i := range min(in.ntried, len(in.tried)) {
		if in.tried[i] == n {
			return true
		}
	}
	return false
}
