package rpcx_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// Under any codec, what belongs to the caller is not touched once the call has
// returned: callers leave about when the reply comes, and use the memory at once, which
// the race detector sees. With the standard library's JSON codec the reader looked at
// the reply of a call that was over.
func TestNothingIsTouchedAfterACall(t *testing.T) {
	t.Parallel()
	stock := func(s *rpc.Server, conn io.ReadWriteCloser) { s.ServeCodec(stdjson.NewServerCodec(conn)) }
	for name, c := range map[string]struct {
		client func(io.ReadWriteCloser) *rpcx.Client
		serve  func(*rpc.Server, io.ReadWriteCloser)
	}{
		"gob": {func(conn io.ReadWriteCloser) *rpcx.Client { return rpcx.NewClient(conn) }, func(s *rpc.Server, conn io.ReadWriteCloser) { s.ServeConn(conn) }},
		"foreign": {func(conn io.ReadWriteCloser) *rpcx.Client {
			return newClient(t, rpcx.Dialer{Codec: stdjson.NewClientCodec}, conn)
		}, stock},
		"own, NewClientWithCodec": {func(conn io.ReadWriteCloser) *rpcx.Client {
			return rpcx.NewClientWithCodec(codec.NewJSONClient(conn))
		}, stock},
		"foreign, NewClientWithCodec": {func(conn io.ReadWriteCloser) *rpcx.Client {
			return rpcx.NewClientWithCodec(stdjson.NewClientCodec(conn))
		}, stock},
	} {
		t.Run(name, func(t *testing.T) {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer lis.Close()
			server := rpc.NewServer()
			require.NoError(t, server.RegisterName("Lazy", LazyList{}))
			go func() {
				if conn, err := lis.Accept(); err == nil {
					c.serve(server, conn)
				}
			}()
			conn, err := net.Dial("tcp", lis.Addr().String())
			require.NoError(t, err)
			client := c.client(conn)
			defer client.Close()
			var gone, answered atomic.Int64
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					args, reply := make([]int, 100), []int(nil)
					for i := range 40 {
						ctx, cancel := context.WithTimeout(t.Context(), rand.N(1500*time.Microsecond))
						if err := client.CallContext(ctx, "Lazy.Answer", args, &reply); err == nil {
							answered.Add(1)
						} else {
							gone.Add(1)
						}
						cancel()
						for i := range args {
							args[i]++
						}
						if i%2 == 0 {
							reply = nil // else it is decoded in place
						} else {
							reply = make([]int, 100)
						}
					}
				})
			}
			wg.Wait()
			t.Logf("%d calls given up, %d answered", gone.Load(), answered.Load())
			require.Positive(t, gone.Load())
		})
	}
}

// LazyList answers when the caller has gone, mostly.
type LazyList struct{}

func (LazyList) Answer(in []int, out *[]int) error {
	time.Sleep(rand.N(time.Millisecond))
	*out = in
	return nil
}
