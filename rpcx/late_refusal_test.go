package rpcx_test

import (
	"context"
	"net"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/protocol"
)

// A request that is refused as late ends with its deadline, did not run, and leaves its
// connection to others.
func TestLateRefusalLeavesTheConnection(t *testing.T) {
	leak.Check(t)
	near, far := net.Pipe()
	go func() {
		c := codec.NewGobServer(far)
		defer c.Close()
		for n := 0; ; n++ {
			var r rpc.Request
			if c.ReadRequestHeader(&r) != nil || c.ReadRequestBody(nil) != nil {
				return
			}
			answer := rpc.Response{ServiceMethod: r.ServiceMethod, Seq: r.Seq}
			if n == 0 {
				answer.ServiceMethod, answer.Error = protocol.RefusedMethod, protocol.ErrLate.Error()
			}
			if c.WriteResponse(&answer, n) != nil {
				return
			}
		}
	}()
	c, err := (&rpcx.Dialer{Heartbeat: -1}).NewClient(near)
	require.NoError(t, err)
	defer c.Close()
	var n int
	err = c.CallContext(t.Context(), "Any.Method", 1, &n)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
	require.NoError(t, c.Call("Any.Method", 1, &n))
	require.Equal(t, 1, n)
}
