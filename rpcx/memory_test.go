package rpcx

import (
	"context"
	"net"
	"net/rpc"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/simnet"
)

// Callers that all find room must not all use it.
func TestMemoryTowardsAPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		ln := n.Listen("a:1")
		go func() {
			if conn, err := ln.Accept(); err == nil {
				rpc.NewServer().ServeConn(conn)
			}
		}()
		d := Dialer{Heartbeat: -1}
		d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.DialContext(ctx, network, address)
		}
		client, err := d.Dial("tcp", "a:1")
		require.NoError(t, err)
		defer client.Close()
		n.Stall("a:1")
		args := strings.Repeat("x", 1<<20)
		for range 100 {
			go client.Call("Any.Thing", args, new(int)) //nolint:errcheck // the server does not answer
		}
		synctest.Wait()
		w := client.endpoints()[0].pool.all()[0].Wire()
		require.Less(t, w.Queued()-w.Sent(), int64(5<<20), "one write is under way, and one MB may wait, and what comes on top")
	})
}
