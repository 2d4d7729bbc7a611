package simnet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/rpc"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/simnet"
)

type Arith struct{}

type Args struct{ A, B int }

func (Arith) Multiply(args Args, reply *int) error {
	*reply = args.A * args.B
	return nil
}

func (Arith) Sleep(d time.Duration, _ *int) error {
	time.Sleep(d) // virtual
	return nil
}

// serve runs a stock net/rpc server at address until ln is closed.
func serve(ln net.Listener) {
	srv := rpc.NewServer()
	if err := srv.Register(Arith{}); err != nil {
		panic(err)
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go srv.ServeConn(c)
	}
}

func dialRPC(t *testing.T, n *simnet.Network) *rpc.Client {
	t.Helper()
	c, err := n.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	return rpc.NewClient(c)
}

func TestStockRPC(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		go serve(n.Listen(addr))
		n.Delay(addr, 5*time.Millisecond)
		client := dialRPC(t, n)
		defer client.Close()

		start := time.Now()
		var calls []*rpc.Call
		for i := range 1000 {
			calls = append(calls, client.Go("Arith.Multiply", Args{i, i}, new(int), nil))
		}
		for i, call := range calls {
			<-call.Done
			require.NoError(t, call.Error)
			require.Equal(t, i*i, *call.Reply.(*int))
		}
		// 1000 pipelined calls take one round trip, and a second one where
		// the buffer was full.
		require.LessOrEqual(t, time.Since(start), 20*time.Millisecond)
	})
}

func TestStockRPCHangsOnAStalledServer(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		go serve(n.Listen(addr))
		client := dialRPC(t, n)
		defer client.Close()

		n.Stall(addr)
		call := client.Go("Arith.Multiply", Args{6, 7}, new(int), nil)
		select {
		case <-call.Done:
			t.Fatal("a reply from a stalled server")
		case <-time.After(16 * time.Minute):
		}
		n.Resume(addr)
		<-call.Done
		require.NoError(t, call.Error)
		require.Equal(t, 42, *call.Reply.(*int))
	})
}

func TestStockRPCIsCut(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		go serve(n.Listen(addr))
		client := dialRPC(t, n)
		defer client.Close()

		call := client.Go("Arith.Sleep", time.Hour, new(int), nil)
		synctest.Wait()
		n.Cut(addr)
		<-call.Done
		require.ErrorIs(t, call.Error, syscall.ECONNRESET)
		require.ErrorIs(t, client.Call("Arith.Multiply", Args{}, new(int)), rpc.ErrShutdown)
		time.Sleep(time.Hour) // virtual: the server's handler cannot be canceled
	})
}

func ExampleNetwork() {
	n := simnet.New() // in a test: inside synctest.Test
	defer n.Close()
	go serve(n.Listen("replica:1"))

	conn, err := n.DialContext(context.Background(), "tcp", "replica:1")
	if err != nil {
		log.Fatal(err)
	}
	client := rpc.NewClient(conn)
	defer client.Close()
	var product int
	err = client.Call("Arith.Multiply", Args{6, 7}, &product)
	fmt.Println(product, err)

	n.Refuse("replica:1")
	_, err = n.DialContext(context.Background(), "tcp", "replica:1")
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	// Output:
	// 42 <nil>
	// true
}

// The HTTP way hijacks the connection, for which net/http aborts a read under
// way with a deadline in the past.
func TestStockRPCOverHTTP(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		handler := rpc.NewServer()
		require.NoError(t, handler.Register(Arith{}))
		srv := &http.Server{Handler: handler}
		defer srv.Close()
		go srv.Serve(n.Listen(addr))

		conn, err := n.DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		_, err = io.WriteString(conn, "CONNECT "+rpc.DefaultRPCPath+" HTTP/1.0\n\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
		require.NoError(t, err)
		require.Equal(t, "200 Connected to Go RPC", resp.Status)
		client := rpc.NewClient(conn)
		defer client.Close()
		var product int
		require.NoError(t, client.Call("Arith.Multiply", Args{6, 7}, &product))
		require.Equal(t, 42, product)
	})
}
