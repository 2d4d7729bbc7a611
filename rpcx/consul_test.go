package rpcx_test

import (
	"errors"
	"net"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// Real sockets, once.
func TestConsulsLoopOverTCP(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Bank", &Bank{name: "a", ledger: &ledger{runs: make(map[int]int)}}))
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go oneByOne(server, conn)
		}
	}()
	d := rpcx.Dialer{DetectionTime: 2 * time.Second}
	c, err := d.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.Empty(t, sleeps(c, 4, 6, 250*time.Millisecond))
	require.Equal(t, rpcx.PingsFatal, c.Stats().Endpoints[0].Pings)
	require.False(t, errors.Is(c.Call("Bank.Where", struct{}{}, new(string)), rpcx.ErrUnresponsive))
}
