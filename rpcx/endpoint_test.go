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
