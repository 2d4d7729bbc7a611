package rpcx_test

import (
	"fmt"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"strings"
	"sync"
	"testing"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/jsonrpc"
)

// A caller is what net/rpc's client and ours have in common.
type caller interface {
	Call(serviceMethod string, args, reply any) error
	Close() error
}

// Echo is the benchmarks' service.
type Echo struct{}

// Message is a payload and a number that proves whose reply it is.
type Message struct {
	N    int
	Body string
}

func (Echo) Echo(in Message, out *Message) error {
	*out = in
	return nil
}

// BenchmarkCall compares a client with everything on to net/rpc's own, against
// the same stock server over loopback TCP. Every reply is checked.
func BenchmarkCall(b *testing.B) {
	gob := serveEcho(b, func(lis net.Listener, s *rpc.Server) { s.Accept(lis) })
	json := serveEcho(b, func(lis net.Listener, s *rpc.Server) {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go s.ServeCodec(stdjson.NewServerCodec(conn))
		}
	})
	gobBoth := serveEcho(b, func(lis net.Listener, s *rpc.Server) {
		rpcx.Serve(b.Context(), lis, s, codec.NewGobServer) //nolint:errcheck // it ends with the listener
	})
	jsonBoth := serveEcho(b, func(lis net.Listener, s *rpc.Server) {
		rpcx.Serve(b.Context(), lis, s, codec.NewJSONServer) //nolint:errcheck // it ends with the listener
	})
	clients := []struct {
		name string
		dial func() (caller, error)
	}{
		{"gob/netrpc", func() (caller, error) { return rpc.Dial("tcp", gob) }},
		{"gob/rpcx", func() (caller, error) { return rpcx.Dial("tcp", gob) }},
		{"gob/both", func() (caller, error) { return rpcx.Dial("tcp", gobBoth) }},
		{"json/netrpc", func() (caller, error) { return stdjson.Dial("tcp", json) }},
		{"json/rpcx", func() (caller, error) { return jsonrpc.Dial("tcp", json) }},
		{"json/both", func() (caller, error) { return jsonrpc.Dial("tcp", jsonBoth) }},
	}
	for _, size := range []int{16, 1 << 10, 1 << 20} {
		for _, callers := range []int{1, 16, 128} {
			if size == 1<<20 && callers > 1 {
				continue
			}
			for _, c := range clients {
				b.Run(fmt.Sprintf("%s/size=%d/callers=%d", c.name, size, callers), func(b *testing.B) {
					client, err := c.dial()
					if err != nil {
						b.Fatal(err)
					}
					defer client.Close()
					echo(b, client, callers, strings.Repeat("x", size))
				})
			}
		}
	}
}

// echo spreads b.N calls over the callers.
func echo(b *testing.B, client caller, callers int, body string) {
	b.ReportAllocs()
	var wg sync.WaitGroup
	for i := range callers {
		n := b.N / callers
		if i < b.N%callers {
			n++
		}
		wg.Go(func() {
			for j := range n {
				in := Message{N: i<<32 | j, Body: body}
				var out Message
				if err := client.Call("Echo.Echo", in, &out); err != nil || out != in {
					b.Errorf("reply %d for %d: %v", out.N, in.N, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// serveEcho starts a server that ends with the benchmark.
func serveEcho(b *testing.B, serve func(net.Listener, *rpc.Server)) (addr string) {
	b.Helper()
	server := rpc.NewServer()
	if err := server.Register(Echo{}); err != nil {
		b.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { lis.Close() })
	go serve(lis, server)
	return lis.Addr().String()
}
