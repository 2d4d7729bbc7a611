package rpcx_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"time"

	"github.com/cenkalti/backoff/v4"

	"resilientrpc/rpcx"
)

// Arith is the service of the examples.
type Arith struct{}

// Args are its operands.
type Args struct{ A, B int }

// Multiply is an ordinary net/rpc method.
func (Arith) Multiply(args Args, reply *int) error {
	*reply = args.A * args.B
	return nil
}

// replica starts a stock net/rpc server and returns its address.
func replica() (addr string, stop func()) {
	server := rpc.NewServer()
	if err := server.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Accept(lis)
	return lis.Addr().String(), func() { lis.Close() }
}

// A drop-in replacement for rpc.Dial; the address may list replicas.
func Example() {
	a, stopA := replica()
	defer stopA()
	b, stopB := replica()
	defer stopB()

	client, err := rpcx.Dial("tcp", a+","+b)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var product int
	if err := client.Call("Arith.Multiply", Args{7, 8}, &product); err != nil {
		log.Fatal(err)
	}
	fmt.Println(product)
	// Output: 56
}

// With a deadline, and a typed reply.
func ExampleInvoke() {
	addr, stop := replica()
	defer stop()
	client, err := rpcx.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	product, err := rpcx.Invoke[int](rpcx.WithIdempotent(ctx), client, "Arith.Multiply", Args{6, 7})
	fmt.Println(product, err)
	// Output: 42 <nil>
}

// Retries follow any policy of cenkalti/backoff/v4.
func ExampleRetry() {
	addr, stop := replica()
	defer stop()
	d := rpcx.Dialer{
		Methods: map[string]rpcx.MethodOptions{"Arith.Multiply": {Idempotent: rpcx.Yes}},
		Retry: rpcx.Retry{
			MaxAttempts: 5,
			BackOff: func() backoff.BackOff {
				return backoff.NewExponentialBackOff(
					backoff.WithInitialInterval(20*time.Millisecond),
					backoff.WithMaxInterval(time.Second))
			},
		},
	}
	client, err := d.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var product int
	fmt.Println(client.Call("Arith.Multiply", Args{3, 4}, &product), product)
	// Output: <nil> 12
}

// What happens to calls, connections and breakers can be watched.
func ExampleClientTrace() {
	addr, stop := replica()
	defer stop()
	d := rpcx.Dialer{Trace: &rpcx.ClientTrace{
		CallDone: func(_ context.Context, i rpcx.CallInfo) { fmt.Println(i.Method, i.Attempts, i.Err) },
	}}
	client, err := d.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var product int
	if err := client.Call("Arith.Multiply", Args{1, 2}, &product); err != nil {
		log.Fatal(err)
	}
	// Output: Arith.Multiply 1 <nil>
}

// A call that takes long is sent to a second replica, and the first answer wins.
func ExampleHedge() {
	a, stopA := replica()
	defer stopA()
	b, stopB := replica()
	defer stopB()
	d := rpcx.Dialer{
		Methods: map[string]rpcx.MethodOptions{
			"Arith.*":      {Idempotent: rpcx.Yes}, // only such methods are hedged
			"Arith.Factor": {Hedge: rpcx.No},       // and not those that are expensive
		},
		// After as long as 95 in 100 attempts take, and for 5 in 100 calls at most.
		Hedge: &rpcx.Hedge{},
	}
	client, err := d.Dial("tcp", a, b)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var product int
	fmt.Println(client.Call("Arith.Multiply", Args{6, 9}, &product), product)
	// Output: <nil> 54
}
