package balancer

import (
	"slices"
	"time"
)

// Changes of states take effect at once on each node, where Pick checks them. The
// snapshot, whose making costs time for every node and calls the policy, follows
// with the next Pick if that is cheap or the last one is older than coalesce, and
// else with the first Pick after that, so that no flapping fleet is rebuilt more
// often.
const (
	coalesce  = 10 * time.Millisecond
	cheapSize = 64
)

// Update replaces the list of endpoints. An endpoint whose ID was listed
// before keeps its node with all statistics and its state, and takes over the
// new Weight and Value. A new one starts in Config.Initial, is taken for as fast as the
// others are, and starts slowly unless it is of the first Update. A removed
// one gets no more calls; its tickets stay valid.
//
// An empty list leaves no endpoint to pick. Update returns an error that names the
// endpoint for an empty or repeated ID or a bad Weight. After an error everything
// is as before. It does not keep the slice.
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

// replace installs the members for a list of endpoints. b.mu is held.
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
	b.generation.Add(1) // after the change, as everywhere: see rebuild
}

// SetState puts a node into a state. It returns false if the node has been removed.
// Coming back from Down, it starts slowly and with a clean slate. Setting the state
// that it has does nothing. SetState does not call the Policy, so that its caller may
// hold a lock.
func (b *Balancer) SetState(now time.Time, n *Node, s State) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok, _ := b.setState(now, n, s)
	return ok
}

// setState moves a node. b.mu is held.
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

// Suspend puts a node into state Down on mere suspicion, such as that of a
// failure detector, and reports whether it did. It refuses if more than half
// of the endpoints in use would then be out on suspicion: when most fall silent at once
// the fault is likely on our side, and of a single endpoint there is no other to
// use instead. Endpoints that are down on proof, such as a refused connection,
// are not suspects, and endpoints that drain do not count. Of callers at the same
// time no more than half succeed, too. It is true for a node that is Down already
// and false for one that has been removed. Like SetState, it does not call the
// Policy.
func (b *Balancer) Suspend(now time.Time, n *Node) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.owner == b && !n.removed && n.State() != Down && !b.spare(n) {
		return false
	}
	ok, changed := b.setState(now, n, Down)
	if changed {
		n.suspended = true
		b.suspended++
	}
	return ok
}

// spare reports whether at most half of the nodes in use are out on suspicion once n
// is too. b.mu is held.
func (b *Balancer) spare(n *Node) bool {
	serving := 0
	for _, m := range b.current.Load().used {
		if m == n || m.State() != Draining {
			serving++
		}
	}
	return 2*(b.suspended+1) <= serving
}

// due reports whether a stale snapshot is to be replaced before it is used.
func (s *snapshot) due(t int64) bool {
	return len(s.members.nodes) <= cheapSize || t-s.built >= int64(coalesce)
}

// rebuild publishes a snapshot that holds at least all changes made before the
// call, and returns the current one. It needs no lock: the generation is read
// before what it counts, so a snapshot may hold more changes than its
// generation says and never less, and only a higher one replaces another.
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
