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
	// subsetFrom is the number of endpoints from which on a subset is used by default.
	subsetFrom = 64
	// subsetSize is its least size by default. "Site Reliability Engineering", chapter
	// 20, recommends 20 to 100 for most services.
	subsetSize = 20
	// subsetRate is the number of calls per second and endpoint that suffice to know
	// its latency. A client with more calls uses more endpoints.
	subsetRate = 10
	// subsetSpread is the number of endpoints per call in flight. Subsets are random,
	// so some endpoints are in more of them than others; with larger subsets the
	// difference is smaller. An endpoint with k calls in flight, from all clients, is
	// in about k*subsetSpread subsets.
	subsetSpread = 4
	// reach limits the search for nodes that are up to reach times the size, plus
	// subsetFrom. If nearly all of so many are down, the client is partitioned, or the
	// service is down and its last nodes should not get the calls of all clients.
	reach = 4
	// crowded is the number of calls in flight on a picked node from which on the
	// size is reviewed ahead of time.
	crowded = 4

	reviewEvery = int64(time.Second)
)

// A subset is the part of a large fleet that one client uses: the first nodes that are
// up, in an order that differs from client to client. The order is by weighted
// rendezvous hashing: adding or removing a node does not change the order of the others,
// and the next node in the order replaces one that is down (gRFC A68).
//
// A client that used all of a large fleet would call each node too seldom to know its
// latency. If one client has most of the traffic, a subset of fixed size would be
// overloaded. So the size follows the client's traffic, as in Finagle's aperture.
type subset struct {
	least int    // least size
	from  int    // number of endpoints from which on a subset is used
	seed  uint64 // of the order

	size atomic.Int64
	due  atomic.Int64 // when the size is next reviewed

	mu    sync.Mutex // by TryLock only: if it fails, another goroutine reviews the size
	of    *members   // the members at the last review; guarded by mu
	picks uint64     // their picks at that time; guarded by mu
	at    int64      // the time of the last review; guarded by mu
}

func newSubset(least int, seed uint64) *subset {
	s := &subset{least: least, from: least + 1, seed: seed}
	if least == 0 {
		s.least, s.from = subsetSize, subsetFrom
	}
	s.size.Store(int64(s.least))
	return s
}

// applies reports whether a client uses only a part of the members.
func (s *subset) applies(m *members) bool { return s != nil && len(m.nodes) >= s.from }

// order sorts nodes into the client's own order.
func (s *subset) order(nodes []*Node) {
	type ranked struct {
		rank float64
		node *Node
	}
	all := make([]ranked, len(nodes))
	for i, n := range nodes {
		u := fraction(mix(KeyOf(n.id) ^ s.seed))
		all[i] = ranked{-math.Log(1-u) / float64(n.Weight()), n}
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	for i, r := range all {
		nodes[i] = r.node
	}
}

// limit returns the number of members to use that are up.
func (s *subset) limit(m *members) int {
	if !s.applies(m) {
		return len(m.nodes)
	}
	return min(int(s.size.Load()), len(m.nodes))
}

// reach returns the number of members to search for those that are up.
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

// review adapts the size and reports whether it has changed. The size grows at once, but
// shrinks only to less than half, so that connections are not opened and closed all the
// time.
func (s *subset) review(t int64, m *members) bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	var picks uint64
	var inflight int64
	for _, n := range m.nodes {
		picks += n.calls.picks()
		inflight += n.calls.inflight()
	}
	regular := t >= s.due.Load()
	want := max(int64(s.least), inflight*subsetSpread)
	if elapsed := t - s.at; s.of == m && elapsed > 0 {
		want = max(want, int64(float64(picks-s.picks)/subsetRate*float64(time.Second)/float64(elapsed)))
	} else {
		regular = false // the rate is not known yet
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

// outgrow is for a pick that has found all nodes of s full. It returns a snapshot with
// more nodes if there are more, and otherwise s.
func (b *Balancer) outgrow(t int64, s *snapshot) *snapshot {
	if b.limit == 0 || !s.partial || int(b.subset.size.Load()) >= len(s.members.nodes) {
		return s
	}
	b.review(t, s.members)
	return b.current.Load()
}

// reviewDue reports whether a pick should review the size, with the number of calls in
// flight on the picked node.
func (s *subset) reviewDue(t, inflight int64) bool {
	due := s.due.Load()
	return t >= due || inflight >= crowded && t >= due-reviewEvery+int64(coalesce)
}
