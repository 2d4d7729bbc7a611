package rpcx

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx/internal/simnet"
	"resilientrpc/rpcx/internal/transport"
)

// A retired connection lets those in flight have their answers, and takes no others.
func TestRetiredConnectionTakesNoCalls(t *testing.T) {
	t.Parallel()
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
		request := func() *transport.Exchange {
			return &transport.Exchange{Method: "Bank.Where", Args: struct{}{}, Reply: new(string)}
		}
		first := request()
		require.NoError(t, conn.Start(first, time.Time{}))
		conn.Retire()
		require.False(t, conn.Dead(), "it is in use")
		res := conn.ask(t.Context(), time.Now(), request())
		require.Equal(t, turnedAway, res.end)
		require.Equal(t, NotSent, res.sent)
		conn.Fail(io.EOF)
		<-first.Ended()
		require.ErrorIs(t, first.Outcome().Err, io.EOF)
		require.True(t, conn.Dead())
		require.Equal(t, NotSent, conn.ask(t.Context(), time.Now(), request()).sent)
	})
}

// A call may pick an endpoint that has never been in use, and find that it was removed
// in the same moment.
func TestEndpointIsRemovedAsItIsPicked(t *testing.T) {
	t.Parallel()
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
		c.membership.deliveries <- delivery{set: []Endpoint{{Address: c.endpoints()[0].addr}}}
		synctest.Wait()
		e := c.membership.use(time.Now(), picked)
		_, err = e.connect(t.Context(), &e.pool.slots[0])
		require.ErrorIs(t, err, errLeft)
		require.Equal(t, 1, c.Live())
	})
}

// Publishing must not ask the breaker: the answer may be the breaker's next event,
// which is published too.
func TestPublishDuringATransition(t *testing.T) {
	t.Parallel()
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
		require.Equal(t, balancer.Down, e.node.State(), "the breaker has not been asked")
		e.breaker.State(now.Add(time.Second))
		require.Equal(t, balancer.Suspect, e.node.State(), "half-open, for calls to probe")
	})
}

// An endpoint that has left the subset has no say in the state of its node, which may
// have another endpoint by now: not its breaker, its prober, its connections, nor its end.
func TestEndpointThatHasLeftTellsTheBalancerNothing(t *testing.T) {
	t.Parallel()
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
		owed := &transport.Exchange{Method: "Bank.Where", Args: struct{}{}, Reply: new(string)}
		require.NoError(t, old.pool.pick().conn.Load().Start(owed, time.Time{}))
		now := time.Now()
		c.membership.close(now, old)
		require.Equal(t, balancer.Suspect, old.node.State(), "not connected")
		next := c.membership.use(now, old.node)
		require.NotSame(t, old, next)
		_, err = next.connect(t.Context(), &next.pool.slots[0])
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
			conn.Fail(ErrUnresponsive)
		}
		unmoved()
		old.breaker.Reset(now)
		unmoved()
	})
}
