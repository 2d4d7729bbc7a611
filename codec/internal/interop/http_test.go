package interop

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"testing"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/handler"
	"github.com/creachadair/jrpc2/jhttp"
	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
)

func serveHTTP(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestOurHTTPClient(t *testing.T) {
	bridge := jhttp.NewBridge(handler.Map{
		"Arith.Sub":  handler.NewPos(func(_ context.Context, a, b int) int { return a - b }, "a", "b"),
		"Arith.Fail": handler.New(func(context.Context, []string) error { return &jrpc2.Error{Code: 7, Message: "because"} }),
	}, nil)
	defer bridge.Close()
	c, err := jsonhttp.NewClient(serveHTTP(t, bridge))
	require.NoError(t, err)
	client := rpc.NewClientWithCodec(c)
	defer client.Close()
	subtract(t, client, 100)
	require.EqualError(t, client.Call("Arith.Fail", "x", new(int)), "because")
	require.Error(t, client.Call("Arith.Nope", Args{}, new(int)))
	require.NoError(t, c.(codec.Notifier).Notify("Arith.Sub", Args{}))
	require.NoError(t, client.Call("Arith.Sub", Args{}, new(int)))
}

func TestOurHTTPHandler(t *testing.T) {
	server, told := newServer(t)
	c := jrpc2.NewClient(jhttp.NewChannel(serveHTTP(t, jsonhttp.NewHandler(server)), nil), nil)
	defer c.Close()
	ctx := context.Background()
	var n int
	require.NoError(t, c.CallResult(ctx, "Arith.Sub", Args{5, 3}, &n))
	require.Equal(t, 2, n)
	require.NoError(t, c.Notify(ctx, "Arith.Tell", []int{5}))
	require.Equal(t, 5, <-told)
	replies, err := c.Batch(ctx, []jrpc2.Spec{{Method: "Arith.Sum", Params: []int{1, 2}}, {Method: "Arith.Nope"}})
	require.NoError(t, err)
	require.Len(t, replies, 2)
	require.Equal(t, jrpc2.MethodNotFound, replies[1].Error().Code)
}

// TestHTTPThroughRPCX: an HTTP server is an endpoint like any other.
func TestHTTPThroughRPCX(t *testing.T) {
	server, _ := newServer(t)
	a, b := serveHTTP(t, jsonhttp.NewHandler(server)), serveHTTP(t, jsonhttp.NewHandler(server))
	d := rpcx.Dialer{
		Codec: codec.NewJSON2Client,
		NetDial: func(_ context.Context, _, address string) (net.Conn, error) {
			return jsonhttp.NewConn(jsonhttp.Config{URL: "http://" + address})
		},
	}
	client, err := d.Dial("tcp", a[len("http://"):], b[len("http://"):])
	require.NoError(t, err)
	defer client.Close()
	subtract(t, client, 200)
}
