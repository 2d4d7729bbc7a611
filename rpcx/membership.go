package rpcx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/rpcx/internal/rescue"
)

const (
	// emptyAfter is how long an empty set must last before it is believed: calls to
	// servers that are gone fail soon enough, while an empty answer of a broken
	// registry takes down all clients that believe it.
	emptyAfter = 5 * time.Minute
	// rejoinSpread is the time over which the clients that learn the same thing at
	// once connect. It is short beside the balancer's slow start.
	rejoinSpread = time.Second
	// linger is how long an endpoint that has left the subset stays connected, as
	// it may be back in a moment: subsets follow the traffic and what is down.
	linger = 10 * time.Second
	// tending is how often a subset that may change by itself is looked at, and
	// rest how long it is left alone at least.
	tending = time.Second
	rest    = 100 * time.Millisecond
	// refreshEvery is how often a resolver is asked to refresh while all endpoints in
	// use are down.
	refreshEvery = 3 * time.Second
)

// errLeft is what a call gets that was given an endpoint as it left. It goes to
// another one at once.
var errLeft = errors.New("rpcx: the endpoint is not in use any more")

// A replica is one address of the set. All that costs something, which is its
// endpoint, is there only while the client uses it.
type replica struct {
	listed atomic.Pointer[Endpoint] // as in the last set
	live   atomic.Pointer[endpoint] // nil while it is not in use

	gone bool // from the set; protected by membership.mu
}

// membership is the set of endpoints: it takes the resolver's sets to the balancer, and gives an
// endpoint to each replica that the balancer uses. All of that is done in run's
// goroutine, or before it is there, in Dial's; use, kick and all are for everybody.
type membership struct {
	client     *core
	deliveries chan delivery
	wake       chan struct{}         // has room for one
	emptied    time.Time             // since when the set has been found empty; zero if it is not, or nothing is known
	refresher  Refresher             // the resolver, if it is one
	refreshed  time.Time             // when it was last asked to refresh
	failed     atomic.Pointer[error] // why the resolver's last set, if it was to be one, is not used; nil if it is
	round      uint64                // counts tendings

	mu      sync.Mutex             // protects following
	running bool                   // endpoints that come get a prober
	live    map[*endpoint]struct{} // until their probers end
}

func newMembership(c *core) *membership {
	return &membership{
		client: c, deliveries: make(chan delivery), wake: make(chan struct{}, 1),
		live: make(map[*endpoint]struct{}),
	}
}

// run is the membership's goroutine. core.watch starts it and Close waits for it.
func (r *membership) run(ctx context.Context) {
	tick := time.NewTicker(tending)
	defer tick.Stop()
	wake, rested := r.wake, (<-chan time.Time)(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-r.deliveries:
			r.apply(time.Now(), d) //nolint:errcheck // it has been reported
		case <-wake:
			now := time.Now()
			r.reconcile(now, 0)
			r.refresh(now)
			wake, rested = nil, time.After(rest)
		case <-rested:
			wake, rested = r.wake, nil
		case now := <-tick.C:
			if !r.emptied.IsZero() && now.Sub(r.emptied) >= emptyAfter {
				r.apply(now, delivery{}) //nolint:errcheck // likewise
			}
			r.reconcile(now, 0)
			r.refresh(now)
		}
	}
}

// refresh lets the resolver look for other endpoints when none of those that it has
// named last can be used (gocql#1713).
func (r *membership) refresh(now time.Time) {
	if r.refresher == nil || now.Sub(r.refreshed) < refreshEvery {
		return
	}
	if up, used := r.client.balancer.Up(now); up == 0 && used > 0 {
		r.refreshed = now
		defer func() {
			if p := recover(); p != nil {
				r.client.panics.Note(rescue.Panicked("Resolver", p))
			}
		}()
		r.refresher.Refresh()
	}
}

// kick wakes the membership: the endpoints in use may have changed.
func (r *membership) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// apply acts on what the resolver says, reports that, and returns why the set that it
// had is kept, if it is.
func (r *membership) apply(now time.Time, d delivery) error {
	info := ResolvedInfo{Kept: len(r.client.balancer.Nodes()), Err: d.err}
	if d.err != nil || len(d.set) > 0 { // an error removes no endpoints: from now on, nothing is known
		r.emptied = time.Time{}
	}
	switch {
	case d.err != nil:
	case slices.ContainsFunc(d.set, func(e Endpoint) bool { return e.Address == "" }):
		info.Err = errors.New("rpcx: the resolver's set has an endpoint without an address")
	case len(d.set) > 0:
		info = r.take(now, d.set)
	case info.Kept == 0:
		info.Err = errors.New("rpcx: the resolver's set is empty")
	case r.believed(now):
		info = r.take(now, nil)
	default:
		info.Err = fmt.Errorf("rpcx: the resolver's set is empty; the last one is kept for %v", emptyAfter)
	}
	r.failed.Store(nil)
	if info.Err != nil {
		r.failed.Store(&info.Err)
	}
	if hook := r.client.dialer.Trace.Resolved; hook != nil {
		hook(info)
	}
	return info.Err
}

// failure is why the last set of the resolver is not used, or nil.
func (r *membership) failure() error {
	if err := r.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// believed reports whether the set has been empty for so long that it must be true.
func (r *membership) believed(now time.Time) bool {
	if r.emptied.IsZero() {
		r.emptied = now
	}
	return now.Sub(r.emptied) >= emptyAfter
}

// take makes a set the one that is served from. What stays keeps all it has.
func (r *membership) take(now time.Time, set []Endpoint) ResolvedInfo {
	was := r.client.balancer.Nodes()
	left := make(map[string]*replica, len(was))
	for _, n := range was {
		left[n.ID()] = n.Value().(*replica)
	}
	info := ResolvedInfo{Added: len(set), Removed: len(was)}
	members := make([]balancer.Endpoint, len(set))
	for i := range set {
		id := set[i].Address
		rep := left[id]
		if rep == nil {
			rep = new(replica)
			rep.listed.Store(&set[i])
		} else {
			delete(left, id)
			info = ResolvedInfo{Added: info.Added - 1, Removed: info.Removed - 1, Kept: info.Kept + 1}
		}
		members[i] = balancer.Endpoint{ID: id, Weight: set[i].Weight, Priority: set[i].Priority, Value: rep}
	}
	if err := r.client.balancer.Update(now, members); err != nil {
		return ResolvedInfo{Kept: len(was), Err: fmt.Errorf("rpcx: the set of endpoints is refused: %w", err)}
	}
	r.emptied = time.Time{}
	r.client.ready.Announce()
	for i := range set {
		members[i].Value.(*replica).listed.Store(&set[i])
	}
	for _, rep := range left {
		r.remove(now, rep)
	}
	spread := rejoinSpread
	if len(was) == 0 {
		spread = 0 // there is no other endpoint to call
	}
	r.reconcile(now, spread)
	return info
}

// reconcile gives an endpoint to each replica in use, and takes it from those that have
// not been for long.
func (r *membership) reconcile(now time.Time, spread time.Duration) {
	r.round++
	for _, n := range r.client.balancer.InUse(now) {
		e := n.Value().(*replica).live.Load()
		if e == nil {
			e = r.open(now, n, spread)
		}
		e.round = r.round
	}
	for _, e := range r.idleTooLong(now) {
		r.close(now, e)
	}
}

// idleTooLong returns the endpoints that are to be given up.
func (r *membership) idleTooLong(now time.Time) (out []*endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.live {
		switch {
		case e.round == r.round || e.left.Load():
			e.unused = time.Time{}
		case e.unused.IsZero():
			e.unused = now
		case now.Sub(e.unused) >= linger:
			out = append(out, e)
		}
	}
	return out
}

// use returns the endpoint of a node that was picked. If it has none, the balancer
// has just begun to use it, and perhaps others: the membership is to look.
func (r *membership) use(now time.Time, n *balancer.Node) *endpoint {
	if e := n.Value().(*replica).live.Load(); e != nil {
		return e
	}
	defer r.kick()
	return r.open(now, n, -1) // the call connects it
}

// open gives an endpoint to a replica. Unless spread is negative its prober connects it
// within that time, and until it is connected calls prefer others.
func (r *membership) open(now time.Time, n *balancer.Node, spread time.Duration) *endpoint {
	e, opened := r.enroll(n, spread)
	if opened {
		r.client.journal.membership(now, e.addr, "is in use now")
	}
	return e
}

func (r *membership) enroll(n *balancer.Node, spread time.Duration) (e *endpoint, opened bool) {
	rep := n.Value().(*replica)
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := rep.live.Load(); e != nil {
		return e, false
	}
	e = r.client.newEndpoint(rep, n)
	e.left.Store(rep.gone) // picked before it went
	rep.live.Store(e)
	if rep.gone {
		return e, false
	}
	r.live[e] = struct{}{}
	if r.running {
		r.probe(e, spread)
	}
	return e, r.running
}

// start gives the endpoints that are there their probers, and one to each that
// comes from now on.
func (r *membership) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = true
	for e := range r.live {
		r.probe(e, -1)
	}
}

// probe starts an endpoint's prober. r.mu is held.
func (r *membership) probe(e *endpoint, spread time.Duration) {
	wait := min(spread, 0)
	if spread > 0 {
		wait = rand.N(spread)
	}
	p := newProber(e, wait)
	r.client.background(func() {
		p.run(r.client.ctx)
		if r.client.closed() {
			return // Close ends its connections
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.live, e)
	})
}

// remove is for a replica that is not in the set any more. It keeps its endpoint, so
// that a call which has picked it just now finds one that has left.
func (r *membership) remove(now time.Time, rep *replica) {
	r.mu.Lock()
	rep.gone = true
	e := rep.live.Load()
	r.mu.Unlock()
	if e != nil {
		e.leave(now)
	}
}

// close takes the endpoint from a replica that is not in use any more.
func (r *membership) close(now time.Time, e *endpoint) {
	r.client.journal.membership(now, e.addr, "is not in use any more: others of the set are")
	e.leave(now) // first: the node's next endpoint has the say from then on
	r.mu.Lock()
	defer r.mu.Unlock()
	e.replica.live.CompareAndSwap(e, nil)
}

// all returns the endpoints that there are, those that have left and still owe
// answers included.
func (r *membership) all() []*endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.live))
}
