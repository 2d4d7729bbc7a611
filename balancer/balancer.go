package balancer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A Balancer picks an endpoint for each call. All methods may be called concurrently.
// Pick and Ticket.Done never block.
type Balancer struct {
	policy    Policy
	initial   State   // of new nodes
	slowStart float64 // ticks; not positive if off
	seeded    bool
	limit     int64   // most calls in flight per node; 0 means no limit
	total     bool    // whether the policy needs fleet.total
	subset    *subset // nil if off

	// epoch is the time of the first Update. It is set before the first snapshot is
	// published and does not change.
	epoch time.Time

	current    atomic.Pointer[snapshot]
	stale      atomic.Bool // current does not include the last change
	generation atomic.Uint64
	members    atomic.Pointer[members]

	mu        sync.Mutex // serializes changes of members and states
	suspended int        // members that Suspend has set to Down; guarded by mu

	_     [64]byte // the following fields change with picks
	seq   atomic.Uint64
	_     [56]byte
	rng   atomic.Uint64
	fleet fleet
}

// New returns a balancer without endpoints. The error names the invalid field.
func New(c Config) (*Balancer, error) {
	if c.Initial > Suspect {
		return nil, fmt.Errorf("balancer: Config.Initial is %v; want Ready or Suspect", c.Initial)
	}
	b := &Balancer{policy: c.Policy, initial: c.Initial, seeded: c.Seed != 0, limit: int64(max(c.MaxInFlight, 0))}
	if b.policy == nil {
		b.policy = P2C()
	}
	_, b.total = b.policy.(interface{ needsTotal() })
	b.slowStart = float64(cmp.Or(c.SlowStart, defaultSlowStart)) / (1 << tickShift)
	seq, order := rand.Uint64(), rand.Uint64()
	if b.seeded {
		seq, order = mix(c.Seed), mix(c.Seed+golden)
	}
	b.rng.Store(c.Seed)
	b.seq.Store(seq)
	if _, whole := b.policy.(interface{ wholeFleet() }); !whole && c.Subset >= 0 {
		b.subset = newSubset(c.Subset, order)
	}
	return b, nil
}

// Pick picks a node for one call. It considers the nodes in use (see InUse) with the
// lowest Priority number of those that are Ready or Suspect, in this order:
//
//	untried Ready, untried Suspect, tried Ready, tried Suspect
//
// Tried nodes are those in PickInfo. Pick never returns a node that is Down or
// Draining, or has Config.MaxInFlight calls in flight. If all nodes with the lowest
// number are full, it does not go on to a higher one.
//
// The error is ErrNoEndpoints, ErrAllFull or ErrAllDown. Pick does not wait for a lock,
// and allocates only if it rebuilds the snapshot.
func (b *Balancer) Pick(now time.Time, in PickInfo) (Ticket, error) {
	s := b.current.Load()
	if s == nil {
		return Ticket{}, ErrNoEndpoints
	}
	t := b.nanos(now)
	in.at = t
	if b.stale.Load() && s.due(t) {
		s = b.rebuild(t)
	}
	for {
		n := s.ready.pick(now, &in)
		if n == nil && b.stale.Load() {
			s = b.rebuild(t) // before going down a tier
			n = s.ready.pick(now, &in)
		}
		if n == nil {
			n = s.pickOther(now, &in)
		}
		if n == nil {
			if larger := b.outgrow(t, s); larger != s {
				s = larger
				continue
			}
			return Ticket{}, s.pickError()
		}
		inflight, ok := n.begin(t)
		if !ok {
			continue // another pick has filled it meanwhile
		}
		if s.partial && b.subset.reviewDue(t, inflight) {
			b.review(t, s.members)
		}
		return Ticket{node: n, start: t}, nil
	}
}

// pickError returns the error of a pick that finds no node.
func (s *snapshot) pickError() error {
	if s.ready.owner.limit > 0 {
		for _, v := range []*View{&s.ready, &s.suspect} {
			for _, n := range v.nodes {
				if n.State() <= v.state {
					return ErrAllFull // even if a call has just ended
				}
			}
		}
	}
	if len(s.members.nodes) == 0 {
		return ErrNoEndpoints
	}
	return ErrAllDown
}

// pickOther picks if there is no untried Ready node.
func (s *snapshot) pickOther(now time.Time, in *PickInfo) *Node {
	n := s.suspect.pick(now, in)
	if n == nil && in.ntried > 0 {
		if n = s.ready.again(now, in); n == nil {
			n = s.suspect.again(now, in)
		}
	}
	return n
}

// Nodes returns the nodes of the last Update, in its order, or nil before the first
// Update. The caller must not change the slice.
func (b *Balancer) Nodes() []*Node {
	if s := b.current.Load(); s != nil {
		return s.members.nodes
	}
	return nil
}

// InUse returns the nodes that may be picked now or when they are up: all of Nodes, or
// the client's subset in its own order. A subset has as many Ready and Suspect nodes as
// Config.Subset says, and the Down and Draining ones that come before them in the order.
//
// Nodes that are not in use need no connection and no failure detector, and should be
// in state Config.Initial. The caller must not change the slice. It is the same slice
// until something changes.
func (b *Balancer) InUse(now time.Time) []*Node {
	s := b.current.Load()
	if s == nil {
		return nil
	}
	t := b.nanos(now)
	if s.partial && b.subset.reviewDue(t, 0) {
		b.review(t, s.members) // a client without traffic does not pick
	}
	return b.rebuild(t).used
}

// Up returns the number of nodes in use that are Ready or Suspect, and the number of
// nodes in use.
func (b *Balancer) Up(now time.Time) (up, used int) {
	if b.current.Load() == nil {
		return 0, 0
	}
	s := b.rebuild(b.nanos(now))
	return s.up, len(s.used)
}

// nanos returns the time since the first Update, or 0 if now is earlier.
func (b *Balancer) nanos(now time.Time) int64 {
	return max(int64(now.Sub(b.epoch)), 0)
}
