package interop

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/rpc"
	"strings"
	"testing"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/creachadair/jrpc2/handler"
	msgpackrpc "github.com/hashicorp/net-rpc-msgpackrpc/v2"
	sourcegraph "github.com/sourcegraph/jsonrpc2"
	"github.com/stretchr/testify/require"
	lsp "go.lsp.dev/jsonrpc2"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

type Args struct {
	A int `json:"a"`
	B int `json:"b"`
}

type Arith struct{ told chan int }

func (Arith) Sub(args Args, result *int) error { *result = args.A - args.B; return nil }

func (Arith) Sum(terms []int, result *int) error {
	for _, n := range terms {
		*result += n
	}
	return nil
}

func (Arith) Fail(why string, result *int) error { return errors.New(why) }

func (a Arith) Tell(n []int, _ *struct{}) error { a.told <- n[0]; return nil }

func newServer(t *testing.T) (*rpc.Server, chan int) {
	s, told := rpc.NewServer(), make(chan int, 100)
	require.NoError(t, s.RegisterName("Arith", Arith{told}))
	return s, told
}

func tcp(t *testing.T) (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// ours starts our server at one end of a connection and returns the other one.
func ours(t *testing.T) (net.Conn, chan int) {
	server, told := newServer(t)
	a, b := tcp(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeCodec(codec.NewJSON2Server(b))
	}()
	t.Cleanup(func() { a.Close(); <-done })
	return a, told
}

// theirs are servers of other people with the methods Arith.Sub, Arith.Sum and
// Arith.Fail, whose error has the code 7 and data.
var theirs = map[string]func(t *testing.T, conn net.Conn){
	"jrpc2": func(t *testing.T, conn net.Conn) {
		s := jrpc2.NewServer(handler.Map{
			"Arith.Sub": handler.NewPos(func(_ context.Context, a, b int) int { return a - b }, "a", "b"),
			"Arith.Sum": handler.New(func(_ context.Context, terms []int) (n int, err error) {
				err = Arith{}.Sum(terms, &n)
				return n, err
			}),
			"Arith.Fail": handler.New(func(_ context.Context, why []string) error {
				return &jrpc2.Error{Code: 7, Message: why[0], Data: json.RawMessage(`{"x":1}`)}
			}),
		}, nil)
		s.Start(channel.Line(conn, conn))
		t.Cleanup(func() { s.Stop() })
	},
	"sourcegraph": func(t *testing.T, conn net.Conn) {
		c := sourcegraph.NewConn(context.Background(), sourcegraph.NewPlainObjectStream(conn), sourcegraph.HandlerWithError(
			func(_ context.Context, _ *sourcegraph.Conn, r *sourcegraph.Request) (any, error) {
				switch r.Method {
				case "Arith.Fail":
					data := json.RawMessage(`{"x":1}`)
					return nil, &sourcegraph.Error{Code: 7, Message: first(*r.Params), Data: &data}
				case "Arith.Sub", "Arith.Sum":
					return compute(r.Method, *r.Params)
				}
				return nil, &sourcegraph.Error{Code: sourcegraph.CodeMethodNotFound, Message: "no such method"}
			}))
		t.Cleanup(func() { c.Close() })
	},
	"lsp.dev": func(t *testing.T, conn net.Conn) {
		c := lsp.NewConn(lsp.NewRawStream(conn))
		c.Go(context.Background(), func(_ context.Context, r *lsp.Request) (any, error) {
			switch r.Method() {
			case "Arith.Fail":
				e := lsp.NewError(7, first(json.RawMessage(r.Params())))
				e.Data = lsp.RawMessage(`{"x":1}`)
				return nil, e
			case "Arith.Sub", "Arith.Sum":
				return compute(r.Method(), json.RawMessage(r.Params()))
			}
			return nil, lsp.NewError(lsp.MethodNotFound, "no such method")
		})
		t.Cleanup(func() { c.Close() })
	},
}

// An asyncCaller is what net/rpc's client and rpcx's have in common.
type asyncCaller interface {
	Go(serviceMethod string, args, reply any, done chan *rpc.Call) *rpc.Call
}

// subtract makes n calls of Arith.Sub at once and checks the replies.
func subtract(t *testing.T, client asyncCaller, n int) {
	t.Helper()
	done := make(chan *rpc.Call, n)
	for i := range n {
		client.Go("Arith.Sub", Args{i, 3}, new(int), done)
	}
	for range n {
		call := <-done
		require.NoError(t, call.Error)
		require.Equal(t, call.Args.(Args).A-3, *call.Reply.(*int))
	}
}

func first(params json.RawMessage) string {
	var s []string
	json.Unmarshal(params, &s) //nolint:errcheck // an empty one fails the test
	return strings.Join(s, "")
}

func compute(method string, params json.RawMessage) (n int, err error) {
	if method == "Arith.Sum" {
		var terms []int
		if err := json.Unmarshal(params, &terms); err != nil {
			return 0, err
		}
		return n, Arith{}.Sum(terms, &n)
	}
	var args Args
	if err := json.Unmarshal(params, &args); err != nil {
		return 0, err
	}
	return n, Arith{}.Sub(args, &n)
}

// structured passes on the error object of the last reply.
type structured struct {
	rpc.ClientCodec
	last error
}

func (s *structured) ReadResponseHeader(r *rpc.Response) error {
	err := s.ClientCodec.ReadResponseHeader(r)
	if e := s.ClientCodec.(codec.ErrorReader).ReadError(); err == nil && e != nil {
		s.last = e
	}
	return err
}

func TestOurClient(t *testing.T) {
	for name, start := range theirs {
		t.Run(name, func(t *testing.T) {
			a, b := tcp(t)
			start(t, b)
			s := &structured{ClientCodec: codec.NewJSON2Client(a)}
			client := rpc.NewClientWithCodec(s)
			defer client.Close()
			for i := range 10 {
				var n int
				require.NoError(t, client.Call("Arith.Sub", Args{i, 3}, &n))
				require.Equal(t, i-3, n)
				require.NoError(t, client.Call("Arith.Sum", []int{i, 1, 2}, &n))
				require.Equal(t, i+3, n)
				require.NoError(t, s.ClientCodec.(codec.Notifier).Notify("Arith.Sum", []int{1}))

				require.EqualError(t, client.Call("Arith.Fail", "because", &n), "because")
				require.Equal(t, &codec.Error{Code: 7, Message: "because", Data: []byte(`{"x":1}`)}, s.last)
				require.Error(t, client.Call("Arith.Nope", Args{}, &n))
				require.Equal(t, codec.CodeMethodNotFound, s.last.(*codec.Error).Code)
			}
			done := make(chan *rpc.Call, 100)
			for i := range cap(done) {
				client.Go("Arith.Sum", []int{i}, new(int), done)
			}
			for range cap(done) {
				call := <-done
				require.NoError(t, call.Error)
				require.Equal(t, call.Args.([]int)[0], *call.Reply.(*int))
			}
		})
	}
}

func TestOurServerAndJRPC2(t *testing.T) {
	conn, told := ours(t)
	c := jrpc2.NewClient(channel.Line(conn, conn), nil)
	defer c.Close()
	ctx := context.Background()
	var n int
	require.NoError(t, c.CallResult(ctx, "Arith.Sub", Args{5, 3}, &n))
	require.Equal(t, 2, n)
	require.NoError(t, c.CallResult(ctx, "Arith.Sub", []int{5, 3}, &n))
	require.Equal(t, 2, n)
	require.NoError(t, c.Notify(ctx, "Arith.Tell", []int{5}))
	require.Equal(t, 5, <-told)

	replies, err := c.Batch(ctx, []jrpc2.Spec{
		{Method: "Arith.Sum", Params: []int{1, 2}},
		{Method: "Arith.Tell", Params: []int{6}, Notify: true},
		{Method: "Arith.Fail", Params: []string{"because"}},
		{Method: "Arith.Nope"},
		{Method: "Arith.Sum", Params: []string{"x"}},
	})
	require.NoError(t, err)
	require.Equal(t, 6, <-told)
	require.Len(t, replies, 4)
	require.NoError(t, replies[0].UnmarshalResult(&n))
	require.Equal(t, 3, n)
	for i, code := range []jrpc2.Code{codec.CodeServerError, jrpc2.MethodNotFound, jrpc2.InvalidParams} {
		require.Equal(t, code, replies[i+1].Error().Code)
	}
	require.Equal(t, "because", replies[1].Error().Message)
}

func TestOurServerAndSourcegraph(t *testing.T) {
	conn, told := ours(t)
	ignore := sourcegraph.HandlerWithError(func(context.Context, *sourcegraph.Conn, *sourcegraph.Request) (any, error) { return nil, nil })
	ctx := context.Background()
	c := sourcegraph.NewConn(ctx, sourcegraph.NewPlainObjectStream(conn), ignore)
	defer c.Close()
	var n int
	require.NoError(t, c.Call(ctx, "Arith.Sub", Args{5, 3}, &n))
	require.Equal(t, 2, n)
	require.NoError(t, c.Call(ctx, "Arith.Sum", []int{5, 3}, &n, sourcegraph.StringID()))
	require.Equal(t, 8, n)
	require.NoError(t, c.Notify(ctx, "Arith.Tell", []int{5}))
	require.Equal(t, 5, <-told)
	var failed *sourcegraph.Error
	require.ErrorAs(t, c.Call(ctx, "Arith.Nope", Args{}, &n), &failed)
	require.Equal(t, int64(sourcegraph.CodeMethodNotFound), failed.Code)
}

func TestOurServerAndLSP(t *testing.T) {
	conn, told := ours(t)
	c := lsp.NewConn(lsp.NewRawStream(conn))
	defer c.Close()
	ctx := context.Background()
	c.Go(ctx, lsp.MethodNotFoundHandler)
	var n int
	_, err := c.Call(ctx, "Arith.Sub", Args{5, 3}, &n)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, c.Notify(ctx, "Arith.Tell", []int{5}))
	require.Equal(t, 5, <-told)
	_, err = c.Call(ctx, "Arith.Nope", Args{}, &n)
	var failed *lsp.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, lsp.MethodNotFound, failed.Code)
}

// closing closes the connection in place of the codec, whose Close sets a flag that
// its reader reads without a lock: a race under net/rpc's own Client, too.
type closing struct {
	rpc.ClientCodec
	conn io.Closer
}

func (c closing) Close() error { return c.conn.Close() }

// TestMsgpack: a foreign codec for net/rpc works through rpcx, against its own
// server.
func TestMsgpack(t *testing.T) {
	server, _ := newServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go server.ServeCodec(msgpackrpc.NewServerCodec(conn))
		}
	}()
	d := rpcx.Dialer{Codec: func(conn io.ReadWriteCloser) rpc.ClientCodec {
		return closing{msgpackrpc.NewClientCodec(conn), conn}
	}}
	client, err := d.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	subtract(t, client, 50)
	require.EqualError(t, client.Call("Arith.Fail", "because", new(int)), "because")
	require.NoError(t, client.Call("Arith.Sum", []int{1, 2}, new(int)))
}

// script is a connection that plays back and records.
type script struct {
	io.Reader
	strings.Builder
}

func (*script) Close() error { return nil }
