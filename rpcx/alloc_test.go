package rpcx_test

import (
	"io"
	"net"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A call allocates five times less than one of net/rpc, whatever it may need if something fails.
func TestAllocationsOfACall(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector empties pools")
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accept(t, lis, func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeConn(c) })
	allocated := func(call func(method string, args, reply any) error) float64 {
		args, product := &Args{2, 3}, new(int)
		once := func() {
			if err := call("Arith.Multiply", args, product); err != nil || *product != 6 {
				t.Error(*product, err)
			}
		}
		for range 1000 {
			once()
		}
		return testing.AllocsPerRun(1000, once) // those of the server are the same
	}
	theirs, err := rpc.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer theirs.Close()
	for name, d := range map[string]rpcx.Dialer{"": {}, "idempotent": {Methods: idempotent("*")}} {
		ours, err := d.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		defer ours.Close()
		require.LessOrEqual(t, allocated(ours.Call), allocated(theirs.Call)-5, name)
	}
}
