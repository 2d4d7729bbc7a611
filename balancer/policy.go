package balancer

import "time"

// A Policy picks among nodes of the same state and priority. This package has P2C,
// RoundRobin, WeightedRoundRobin, Random and Hash. Several balancers may share a Policy.
// It should keep no state between picks: View.Seq, View.Rand and the nodes have it.
type Policy interface {
	// Picker returns the picker for one immutable view. It is called when endpoints or
	// their states change, without a lock held and possibly concurrently. The view may
	// never be used. Picker must not call methods of the Balancer.
	Picker(v *View) Picker
}

// A Picker picks from the nodes of its View.
type Picker interface {
	// Pick returns a node of the view, or nil if it finds none. It may be called
	// concurrently, and should not block or allocate.
	//
	// If it returns nil, or a node that is in a worse state by now, is full, or is one of
	// PickInfo's tried nodes, the balancer calls Pick again up to three times, and then
	// picks a node itself.
	Pick(now time.Time, in PickInfo) *Node
}

// PickInfo describes the call for which a node is picked. The zero value is for a first
// attempt without a key.
type PickInfo struct {
	// Key is the call's key for the Hash policy, if HasKey is set.
	Key    uint64
	HasKey bool

	ntried int
	tried  [4]*Node
	at     int64 // set by Balancer.Pick: its time in nanoseconds since the first Update
}

// Try records that the call was sent to n, so that the next pick prefers other nodes. It
// keeps the last four nodes.
func (in *PickInfo) Try(n *Node) {
	in.tried[in.ntried%len(in.tried)] = n
	in.ntried++
}

// Tried reports whether n is one of the nodes recorded by Try.
func (in *PickInfo) Tried(n *Node) bool {
	for i := range min(in.ntried, len(in.tried)) {
		if in.tried[i] == n {
			return true
		}
	}
	return false
}

// nanos returns the time of the pick in nanoseconds since the first Update. Balancer.Pick has
// computed it, unless a policy passes a PickInfo of its own to another policy's picker.
func (in *PickInfo) nanos(b *Balancer, now time.Time) int64 {
	if in.at == 0 {
		return b.nanos(now)
	}
	return in.at
}
