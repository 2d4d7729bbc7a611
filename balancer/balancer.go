package balancer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A Balancer picks an endpoint for each call. All methods may be called
// concurrently; Pick and Ticket.Done never wait for each other or for anyone.
type Balancer struct {
	policy    Policy
	initial   State   // of new nodes
	slowStart float64 // ticks; not positive if off
	seeded    bool
	limit     int64   // calls in flight of a node; 0 for any number
	total     bool    // whether the policy needs fleet.total
	subset    *subset // nil if off

	// epoch is the time of the first Update. It is written before the first
	// snapshot is published and not again.
	epoch time.Time

	current    atomic.Pointer[snapshot]
	stale      atomic.Bool // a change waits for the next rebuild
	generation atomic.Uint64
	members    atomic.Pointer[members]

	mu        sync.Mutex // serializes changes of members and states
	suspended int        // members that Suspend put into state Down; guarded by mu

	_     [64]byte // what follows changes with picks
	seq   atomic.Uint64
	_     [56]byte
	rng   atomic.Uint64
	fleet fleet
}

// New returns a balancer without endpoints, or an error that names the field of c that
// makes no sense.
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

// Pick chooses a node for one call, of those in use of the lowest Priority number
// that has any up. Nodes in state Ready come first, then Suspect ones; within each,
// nodes that this call has not tried yet:
//
//	untried Ready, untried Suspect, tried Ready, tried Suspect
//
// A node that is Down or Draining, or has Config.MaxInFlight calls in flight, is
// never picked. The error is ErrNoEndpoints if none is listed, and if there is no
// node to pick ErrAllFull or ErrAllDown. A full node is up: it does not make way for
// ones of a higher number. Pick takes no
// lock that another could hold for long, and waits for none. It allocates only
// when it is the one to rebuild the snapshot after changes of state or of the
// client's traffic.
func (b *Balancer) Pick(now time.Time, in PickInfo) (Ticket, error) {
	s := b.current.Load()
	if s == nil {
		return Ticket{}, ErrNoEndpoints
	}
	t := b.nanos(now)
	if b.stale.Load() && s.due(t) {
		s = b.rebuild(t)
	}
	for {
		n := s.ready.pick(now, in)
		if n == nil && b.stale.Load() {
			s = b.rebuild(t) // before going down a tier
			n = s.ready.pick(now, in)
		}
		if n == nil {
			n = s.pickOther(now, in)
		}
		if n == nil {
			if larger := b.outgrow(t, s); larger != s {
				s = larger
				continue
			}
			return Ticket{}, s.refusal()
		}
		inflight, ok := n.begin(t)
		if !ok {
			continue // somebody else took its last place
		}
		if s.partial && b.subset.reviewDue(t, inflight) {
			b.review(t, s.members)
		}
		return Ticket{node: n, start: t}, nil
	}
}

// refusal says why no node can be picked, tried or not.
func (s *snapshot) refusal() error {
	if s.ready.owner.limit > 0 {
		for _, v := range []*View{&s.ready, &s.suspect} {
			for _, n := range v.nodes {
				if n.State() <= v.state {
					return ErrAllFull // or it has got room at this moment
				}
			}
		}
	}
	if len(s.members.nodes) == 0 {
		return ErrNoEndpoints
	}
	return ErrAllDown
}

// pickOther picks when no untried node is ready.
func (s *snapshot) pickOther(now time.Time, in PickInfo) *Node {
	n := s.suspect.pick(now, in)
	if n == nil && in.ntried > 0 {
		if n = s.ready.again(now, in); n == nil {
			n = s.suspect.again(now, in)
		}
	}
	return n
}

// Nodes returns the nodes of the last Update in the order given there. It
// returns nil before the first one. The caller must not change the slice.
func (b *Balancer) Nodes() []*Node {
	if s := b.current.Load(); s != nil {
		return s.members.nodes
	}
	return nil
}

// InUse returns the nodes that this client needs as things are, in its own order:
// all of Nodes, or its subset of them, which holds as many that are up as
// Config.Subset says and those that are down among them. A node that is not of
// these need not be connected or watched, and should be in state Config.Initial. The
// caller must not change the slice; it is the same one while nothing has changed.
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

// Up returns how many of the nodes that InUse returns are Ready or Suspect, and how
// many there are.
func (b *Balancer) Up(now time.Time) (up, used int) {
	if b.current.Load() == nil {
		return 0, 0
	}
	s := b.rebuild(b.nanos(now))
	return s.up, len(s.used)
}

// nanos returns the time since the first Update, and 0 for an earlier one.
func (b *Balancer) nanos(now time.Time) int64 {
	return max(int64(now.Sub(b.epoch)), 0)
}
