package rpcx_test

import (
	"net"
	"net/rpc"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// Barrier is a service whose method waits until the barrier opens.
type Barrier struct{ open chan struct{} }

func (g Barrier) Pass(n int, out *int) error {
	<-g.open
	*out = n
	return nil
}

// barrier serves Barrier, and counts its connections that are open.
func barrier(t *testing.T) (address string, open chan struct{}, conns *atomic.Int64) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { lis.Close() })
	server := rpc.NewServer()
	open, conns = make(chan struct{}), new(atomic.Int64)
	require.NoError(t, server.RegisterName("Barrier", Barrier{open}))
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				server.ServeConn(conn)
				conns.Add(-1)
			}()
		}
	}()
	return lis.Addr().String(), open, conns
}

// collected reports whether cond holds once the garbage was collected.
func collected(cond func() bool) func() bool {
	return func() bool {
		runtime.GC()
		return cond()
	}
}

func TestDroppedClientsAreClosed(t *testing.T) {
	leak.Check(t)
	address, _, conns := barrier(t)
	for range 50 {
		_, err := rpcx.Dial("tcp", address)
		require.NoError(t, err)
	}
	require.Eventually(t, collected(func() bool { return conns.Load() == 0 }), 10*time.Second, 10*time.Millisecond)
}

func TestDroppedClientEndsItsCallsFirst(t *testing.T) {
	leak.Check(t)
	address, open, conns := barrier(t)
	var out int
	call := func() *rpcx.Call {
		c, err := rpcx.Dial("tcp", address)
		require.NoError(t, err)
		return c.Go("Barrier.Pass", 7, &out, nil)
	}()
	for range 5 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond) // for a cleanup that must not run
	}
	close(open)
	require.NoError(t, (<-call.Done).Error)
	require.Equal(t, 7, out)
	require.Eventually(t, collected(func() bool { return conns.Load() == 0 }), 10*time.Second, 10*time.Millisecond)
}

// TestDroppedClientLeavesAGivenConnection: it belongs to its owner, and the client's
// goroutines end with it.
func TestDroppedClientLeavesAGivenConnection(t *testing.T) {
	leak.Check(t)
	address, open, conns := barrier(t)
	close(open)
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	dropped := new(atomic.Bool)
	func() {
		c := rpcx.NewClient(conn)
		runtime.AddCleanup(c, func(b *atomic.Bool) { b.Store(true) }, dropped)
		require.NoError(t, c.Call("Barrier.Pass", 1, new(int)))
	}()
	require.Eventually(t, collected(dropped.Load), 10*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 1, conns.Load())
	require.NoError(t, conn.Close())
}
