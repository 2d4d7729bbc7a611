package interop

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"testing"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
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
	d := rpcx.Dialer{Codec: codec.NewJSON2Client, NetDial: jsonhttp.Dialer(jsonhttp.Config{URL: "http:///"})}
	client, err := d.Dial("tcp", a[len("http://"):], b[len("http://"):])
	require.NoError(t, err)
	defer client.Close()
	subtract(t, client, 200)
}

// TestNotifyThroughRPCX: a notification arrives once, at servers of others and at ours, over
// HTTP and over a stream.
func TestNotifyThroughRPCX(t *testing.T) {
	theirs := make(chan int, 1)
	methods := handler.Map{"Arith.Tell": handler.New(func(_ context.Context, n []int) error {
		theirs <- n[0]
		return nil
	})}
	bridge := jhttp.NewBridge(methods, nil)
	defer bridge.Close()
	server, ours := newServer(t)
	overHTTP := jsonhttp.Dialer(jsonhttp.Config{URL: "http:///"})
	stream := func(serve func(net.Conn)) string {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { lis.Close() })
		go func() {
			for conn, err := lis.Accept(); err == nil; conn, err = lis.Accept() {
				go serve(conn)
			}
		}()
		return lis.Addr().String()
	}
	for name, peer := range map[string]struct {
		addr    string
		netDial func(context.Context, string, string) (net.Conn, error)
		told    <-chan int
	}{
		"jrpc2 over HTTP": {serveHTTP(t, bridge)[len("http://"):], overHTTP, theirs},
		"ours over HTTP":  {serveHTTP(t, jsonhttp.NewHandler(server))[len("http://"):], overHTTP, ours},
		"jrpc2": {stream(func(conn net.Conn) {
			jrpc2.NewServer(methods, nil).Start(channel.Line(conn, conn)).Wait() //nolint:errcheck // the client ends it
		}), nil, theirs},
		"ours": {stream(func(conn net.Conn) { server.ServeCodec(codec.NewJSON2Server(conn)) }), nil, ours},
	} {
		t.Run(name, func(t *testing.T) {
			d := rpcx.Dialer{Codec: codec.NewJSON2Client, NetDial: peer.netDial}
			client, err := d.Dial("tcp", peer.addr)
			require.NoError(t, err)
			defer client.Close()
			for n := range 20 {
				require.NoError(t, client.Notify(t.Context(), "Arith.Tell", []int{n}))
				require.Equal(t, n, <-peer.told)
			}
			require.NoError(t, client.Notify(t.Context(), "Arith.Nope", []int{1}))
			require.NoError(t, client.CloseContext(t.Context()))
		})
	}
}
