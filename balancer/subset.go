package balancer

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// subsetFrom is the number of endpoints from which on a subset is used.
	subsetFrom = 64
	// subsetSize is the least that it has: the lower end of what "Site
	// Reliability Engineering", chapter 20, finds good for most services.
	subsetSize = 20
	// subsetRate is how many calls a second suffice to know an endpoint's
	// latency. A client that has more for each takes more endpoints.
	subsetRate = 10
	// subsetSpread is how many endpoints are taken for each call in flight.
	// Subsets are random, so an endpoint is in more of them than another; the
	// more of them it is in, the less that matters. An endpoint with k calls in
	// flight from all clients together is in about k times this number.
	subsetSpread = 4
	// reach is how many times its size a subset extends, and subsetFrom more, in
	// search of nodes that are up. Who finds nearly all of so many down has lost the
	// network, or the service is lost: to go through the rest would find none, or
	// bring all clients down on the few that live.
	reach = 4
	// crowded is how many calls in flight a picked node may have without a
	// review ahead of time.
	crowded = 4

	reviewEvery = int64(time.Second)
)

// A subset is the part of a large fleet that one client uses: the first nodes,
// in an order of its own, that are in the state asked for. The order is by
// rendezvous hashing in proportion to weights, so a node that comes or goes
// changes one place, and one that is down is made up for by the next (gRFC A68).
//
// With all of a large fleet, a client calls each node too seldom to know
// anything about it. A fixed part of it would overload that part when one
// client carries most of the traffic. So the size follows the client's own
// traffic, as that of Finagle's aperture does.
type subset struct {
	least int    // 0 if off
	from  int    // number of endpoints from which on it applies
	seed  uint64 // of the order

	size atomic.Int64
	due  atomic.Int64 // when the size is next reviewed

	mu    sync.Mutex // taken with TryLock only: a caller that fails leaves the review to the other
	of    *members   // whose picks were counted; guarded by mu
	picks uint64     // what they were; guarded by mu
	at    int64      // and when; guarded by mu
}

func newSubset(least int, seed uint64) *subset {
	s := &subset{least: least, from: least + 1, seed: seed}
	if least == 0 {
		s.least, s.from = subsetSize, subsetFrom
	}
	s.size.Store(int64(s.least))
	return s
}

// applies reports whether a client uses a part only of such a list of members.
func (s *subset) applies(m *members) bool { return s != nil && len(m.nodes) >= s.from }

// order puts nodes into the client's own order.
func (s *subset) order(nodes []*Node) {
	type place struct {
		rank float64
		node *Node
	}
	places := make([]place, len(nodes))
	for i, n := range nodes {
		u := fraction(mix(KeyOf(n.id) ^ s.seed))
		places[i] = place{-math.Log(1-u) / float64(n.Weight()), n}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.rank, b.rank) })
	for i, p := range places {
		nodes[i] = p.node
	}
}

// limit returns how many of a list of members to use.
func (s *subset) limit(m *members) int {
	if !s.applies(m) {
		return len(m.nodes)
	}
	return min(int(s.size.Load()), len(m.nodes))
}

// reach returns how many of a list of members may be looked at for the limit.
func (s *subset) reach(m *members, limit int) int {
	if !s.applies(m) {
		return len(m.nodes)
	}
	return reach*limit + subsetFrom
}

// review adapts the size of the subset to the traffic.
func (b *Balancer) review(t int64, m *members) {
	if b.subset.review(t, m) {
		b.generation.Add(1)
		b.rebuild(t)
	}
}

// review reports whether the size has changed. It grows at once and shrinks only to
// less than half, so that the connections to its end are not made and dropped all
// the time.
func (s *subset) review(t int64, m *members) bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	var picks uint64
	var inflight int64
	for _, n := range m.nodes {
		picks += n.picks.Load()
		inflight += n.inflight.Load()
	}
	regular := t >= s.due.Load()
	want := max(int64(s.least), inflight*subsetSpread)
	if elapsed := t - s.at; s.of == m && elapsed > 0 {
		want = max(want, int64(float64(picks-s.picks)/subsetRate*float64(time.Second)/float64(elapsed)))
	} else {
		regular = false // there is no rate yet
	}
	s.of, s.picks, s.at = m, picks, t
	s.due.Store(t + reviewEvery)
	size := s.size.Load()
	if want <= size && !(regular && want < size/2) {
		return false
	}
	s.size.Store(min(want, int64(len(m.nodes))))
	return true
}

// outgrow returns a snapshot of more nodes, if none of s has room and there are
// more, and otherwise s.
func (b *Balancer) outgrow(t int64, s *snapshot) *snapshot {
	if b.limit == 0 || !s.partial || int(b.subset.size.Load()) >= len(s.members.nodes) {
		return s
	}
	b.review(t, s.members)
	return b.current.Load()
}

// reviewDue reports whether a pick that found inflight calls on its node should
// review the subset.
func (s *subset) reviewDue(t, inflight int64) bool {
	due := s.due.Load()
	return t >= due || inflight >= crowded && t >= due-reviewEvery+int64(coalesce)
}
