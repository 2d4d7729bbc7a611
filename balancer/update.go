package balancer

import (
	"slices"
	"time"
)

// A change of state takes effect at once, because Pick checks the node's state. To
// rebuild the snapshot takes time in proportion to the nodes. So with more than cheapSize
// nodes it is rebuilt at most once per coalesce, even if states change all the time.
const (
	coalesce  = 10 * time.Millisecond
	cheapSize = 64
)

// Update replaces the list of endpoints, which may be empty. It does not keep the slice.
//
// An endpoint with the ID of an existing node keeps that node, with its statistics and
// state, and gets the new Weight, Priority and Value. A new node has the state
// Config.Initial and the mean latency of all nodes, and is in slow start unless the list
// was empty before. A removed node gets no more calls; its tickets stay valid.
//
// Update returns an error for an empty or repeated ID or an invalid Weight. Then nothing
// changes.
func (b *Balancer) Update(now time.Time, eps []Endpoint) error {
	if err := check(eps); err != nil {
		return err
	}
	eps = slices.Clone(eps)
	b.mu.Lock()
	if b.members.Load() == nil {
		b.epoch = now
	}
	t := b.nanos(now)
	b.replace(t, eps)
	b.mu.Unlock()
	b.rebuild(t)
	return nil
}

// replace replaces the members. b.mu is held.
func (b *Balancer) replace(t int64, eps []Endpoint) {
	old, m := b.members.Load(), &members{
		nodes: make([]*Node, len(eps)),
		byID:  make(map[string]*Node, len(eps)),
	}
	first := old == nil || len(old.nodes) == 0
	b.suspended = 0
	for i := range eps {
		n := old.find(eps[i].ID)
		if n == nil {
			n = newNode(b, &eps[i])
			n.state.Store(uint32(b.initial))
			if !first {
				n.renew(t)
			}
		} else {
			n.describe(&eps[i])
		}
		if n.suspended {
			b.suspended++
		}
		m.nodes[i], m.byID[n.id] = n, n
	}
	m.arrange(b.subset)
	if old != nil {
		for _, n := range old.nodes {
			if m.byID[n.id] == nil {
				n.removed = true
				n.state.Store(uint32(Draining))
			}
		}
	}
	b.members.Store(m)
	b.generation.Add(1) // must follow the change; see rebuild
}

// SetState sets the state of a node. It returns false if the node has been removed. A node
// that leaves Down loses its statistics and is in slow start. SetState does not call the
// Policy, so the caller may hold a lock.
func (b *Balancer) SetState(now time.Time, n *Node, s State) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok, _ := b.setState(now, n, s)
	return ok
}

// setState implements SetState. b.mu is held.
func (b *Balancer) setState(now time.Time, n *Node, s State) (ok, changed bool) {
	if n.owner != b || n.removed || s > Draining {
		return false, false
	}
	from := n.State()
	if from == s {
		return true, false
	}
	if from == Down {
		n.renew(b.nanos(now))
	}
	if n.suspended {
		n.suspended = false
		b.suspended--
	}
	n.state.Store(uint32(s))
	b.generation.Add(1)
	b.stale.Store(true)
	return true, true
}

// Suspend sets a node to Down because of a suspicion, such as a failure detector's, and
// reports whether the node is Down. It does nothing and returns false if the node has been
// removed, or if more than half of the nodes in use would then be suspended: if most nodes
// become silent at the same time, the cause is probably the client or its network.
//
// Draining nodes do not count as nodes in use, and nodes that SetState has set to Down do
// not count as suspended. The limit holds for concurrent calls, too. Like SetState,
// Suspend does not call the Policy.
func (b *Balancer) Suspend(now time.Time, n *Node) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.owner == b && !n.removed && n.State() != Down && !b.maySuspend(n) {
		return false
	}
	ok, changed := b.setState(now, n, Down)
	if changed {
		n.suspended = true
		b.suspended++
	}
	return ok
}

// maySuspend reports whether at most half of the nodes in use are suspended if n is, too.
// b.mu is held.
func (b *Balancer) maySuspend(n *Node) bool {
	serving := 0
	for _, m := range b.current.Load().used {
		if m == n || m.State() != Draining {
			serving++
		}
	}
	return 2*(b.suspended+1) <= serving
}

// due reports whether a stale snapshot must be rebuilt before a pick.
func (s *snapshot) due(t int64) bool {
	return len(s.members.nodes) <= cheapSize || t-s.built >= int64(coalesce)
}

// rebuild publishes a snapshot that includes all changes made before the call, and
// returns the current one. It needs no lock: it reads the generation before the state, so
// a snapshot includes at least the changes up to its generation, and it replaces only
// snapshots of a lower generation.
func (b *Balancer) rebuild(t int64) *snapshot {
	b.stale.Store(false) // before reading: a later change sets it again
	generation := b.generation.Load()
	if old := b.current.Load(); old != nil && old.generation >= generation {
		return old
	}
	s := b.newSnapshot(generation, t, b.members.Load())
	for {
		old := b.current.Load()
		if old != nil && old.generation >= generation {
			return old
		}
		if b.current.CompareAndSwap(old, s) {
			return s
		}
	}
}
