package jsonhttp_test

import (
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
)

// TestLargestLimits: the largest number means no limit.
func TestLargestLimits(t *testing.T) {
	server, _ := newServer(t)
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(&jsonhttp.Handler{Server: server, Codec: codec.JSON2{MaxFrame: math.MaxInt64}})
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: s.URL, MaxFrame: math.MaxInt64, MaxInFlight: math.MaxInt})
	require.NoError(t, err)
	client := rpc.NewClientWithCodec(codec.JSON2{MaxFrame: math.MaxInt64}.NewClient(conn))
	defer client.Close()
	for i := range 10 {
		var sum int
		require.NoError(t, client.Call("Arith.Add", Args{i, 1}, &sum))
		require.Equal(t, i+1, sum)
	}
	require.Less(t, conns.Load(), int64(5), "connections are kept open")
}
