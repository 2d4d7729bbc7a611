package rpcx

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx/internal/simnet"
)

// A retired connection closes only if nobody can have entered it in the meantime: a
// call could be sent and then cut off.
func TestRetiredConnectionLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		n.Listen("a:1")
		d := Dialer{Heartbeat: -1}
		d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.DialContext(ctx, network, address)
		}
		c, err := d.Dial("tcp", "a:1")
		require.NoError(t, err)
		defer c.Close()
		conn := c.endpoints()[0].last.Load()
		require.True(t, conn.enter())
		conn.retire()
		require.True(t, conn.enter(), "it is in use")
		require.False(t, conn.dead())
		conn.release()
		conn.release()
		require.True(t, conn.dead())
		require.False(t, conn.enter())
		res := conn.do(t.Context(), time.Now(), &attempt{method: "Bank.Where", args: struct{}{}, reply: new(string)})
		require.Equal(t, NotSent, res.sent)
		require.True(t, res.own)
	})
}

// A call may pick an endpoint that has never been in use, and find that it was removed
// in the same moment.
func TestEndpointIsRemovedAsItIsPicked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		n.Listen("a:1")
		d := Dialer{Heartbeat: -1, Subset: 1, Resolver: Static(Endpoint{Address: "a:1"}, Endpoint{Address: "b:1"})}
		d.NetDial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return n.DialContext(ctx, network, "a:1")
		}
		c, err := d.Dial("tcp")
		require.NoError(t, err)
		defer c.Close()
		var picked *balancer.Node
		for _, n := range c.balancer.Nodes() {
			if n.Value().(*replica).live.Load() == nil {
				picked = n
			}
		}
		c.roster.deliveries <- delivery{set: []Endpoint{{Address: c.endpoints()[0].addr}}}
		synctest.Wait()
		e := c.roster.use(time.Now(), picked)
		_, err = e.connect(t.Context(), &e.pool.lanes[0])
		require.ErrorIs(t, err, errLeft)
		require.Equal(t, 1, c.Live())
	})
}

// Publishing must not ask the breaker: the answer may be the breaker's next event,
// which is published too.
func TestPublishDuringATransition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		n.Listen("a:1")
		d := Dialer{Heartbeat: -1, Breaker: breaker.Config{OpenFor: time.Millisecond}}
		d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.DialContext(ctx, network, address)
		}
		c, err := d.Dial("tcp", "a:1")
		require.NoError(t, err)
		defer c.Close()
		e := c.endpoints()[0]
		now := time.Now()
		e.breaker.Trip(now, 0, nil)
		require.Equal(t, balancer.Down, e.node.State())
		require.True(t, e.setSuspect(now.Add(time.Second), true))
		require.Equal(t, balancer.Down, e.node.State(), "nobody has asked the breaker")
		e.breaker.State(now.Add(time.Second))
		require.Equal(t, balancer.Suspect, e.node.State(), "half-open, for calls to probe")
	})
}

// An endpoint that has left the subset has no say in the state of its node, which may
// have another endpoint by now: not its breaker, its prober, its connections, nor its end.
func TestEndpointThatHasLeftTellsTheBalancerNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		n.Listen("a:1")
		n.Listen("b:1")
		var d Dialer
		d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.DialContext(ctx, network, address)
		}
		c, err := d.Dial("tcp", "a:1,b:1")
		require.NoError(t, err)
		defer c.Close()
		synctest.Wait()
		old := c.endpoints()[0]
		require.True(t, old.pool.pick().conn.Load().enter(), "it owes an answer")
		now := time.Now()
		c.roster.close(now, old)
		require.Equal(t, balancer.Suspect, old.node.State(), "not connected")
		next := c.roster.use(now, old.node)
		require.NotSame(t, old, next)
		_, err = next.connect(t.Context(), &next.pool.lanes[0])
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, balancer.Ready, old.node.State())

		unmoved := func() {
			t.Helper()
			synctest.Wait()
			require.Equal(t, balancer.Ready, old.node.State())
			require.Zero(t, old.node.Stats(now).Suspicion)
			require.False(t, old.node.Stats(now).Warming, "nor for a moment")
		}
		old.breaker.Trip(now, 0, nil)
		unmoved()
		old.setSuspect(now, true)
		unmoved()
		old.setSuspicion(3)
		unmoved()
		require.False(t, old.suspend(now))
		unmoved()
		newProber(old, -1).convict(now, 8)
		unmoved()
		old.leave(now)
		unmoved()
		for _, conn := range old.pool.all() {
			conn.fail(ErrUnresponsive)
		}
		unmoved()
		old.breaker.Reset(now)
		unmoved()
	})
}
