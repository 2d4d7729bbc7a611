package jsonrpc_test

import (
	"fmt"
	"log"
	"net"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/jsonrpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Arith is the service.
type Arith struct{}

// Args are its operands.
type Args struct{ A, B int }

// Multiply is an ordinary net/rpc method.
func (Arith) Multiply(args Args, reply *int) error {
	*reply = args.A * args.B
	return nil
}

// replica starts a JSON-RPC server and returns its address.
func replica() (addr string, stop func()) {
	server := rpc.NewServer()
	if err := server.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go server.ServeCodec(jsonrpc.NewServerCodec(conn))
		}
	}()
	return lis.Addr().String(), func() { lis.Close() }
}

func ExampleDial() {
	addr, stop := replica()
	defer stop()
	client, err := jsonrpc.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var product int
	fmt.Println(client.Call("Arith.Multiply", Args{7, 8}, &product), product)
	// Output: <nil> 56
}

func TestClientOverOneConnection(t *testing.T) {
	addr, stop := replica()
	defer stop()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	client := jsonrpc.NewClient(conn)
	var product int
	require.NoError(t, client.Call("Arith.Multiply", Args{2, 3}, &product))
	require.Equal(t, 6, product)
	require.Equal(t, rpcx.ServerError("rpc: can't find method Arith.None"), client.Call("Arith.None", Args{}, &product))
	require.NoError(t, client.Close())
	require.Equal(t, rpcx.ErrShutdown, client.Call("Arith.Multiply", Args{2, 3}, &product))
}

func TestReplicas(t *testing.T) {
	a, stopA := replica()
	defer stopA()
	b, stopB := replica()
	defer stopB()
	client, err := jsonrpc.Dial("tcp", a+","+b)
	require.NoError(t, err)
	defer client.Close()
	for i := range 50 {
		var product int
		require.NoError(t, client.Call("Arith.Multiply", Args{i, i}, &product))
		require.Equal(t, i*i, product)
	}
}

func TestDialSaysWhatNetSays(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := lis.Addr().String()
	require.NoError(t, lis.Close())
	_, ours := jsonrpc.Dial("tcp", addr)
	_, nets := net.Dial("tcp", addr)
	require.EqualError(t, ours, nets.Error())
}
