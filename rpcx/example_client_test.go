package rpcx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc/jsonrpc"
	"os"
	"slices"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/rpcx"
)

// One connection that somebody else has made: when it is over, so is the client.
func ExampleNewClient() {
	here, there := net.Pipe()
	server := rpcx.NewServer()
	if err := server.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	go server.ServeConn(there)

	client := rpcx.NewClient(here)
	defer client.Close()
	var product int
	fmt.Println(client.Call("Arith.Multiply", Args{7, 8}, &product), product)
	// Output: <nil> 56
}

// Any codec of net/rpc will do, the standard library's JSON-RPC among them.
func ExampleNewClientWithCodec() {
	here, there := net.Pipe()
	server := rpcx.NewServer()
	if err := server.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	go server.ServeCodec(jsonrpc.NewServerCodec(there))

	client := rpcx.NewClientWithCodec(jsonrpc.NewClientCodec(here))
	defer client.Close()
	var product int
	fmt.Println(client.Call("Arith.Multiply", Args{7, 8}, &product), product)
	// Output: <nil> 56
}

// Replicas, options by method, caps, and a log of what goes wrong.
func ExampleDialer() {
	a, stopA := replica()
	defer stopA()
	b, stopB := replica()
	defer stopB()

	d := rpcx.Dialer{
		CallTimeout: 2 * time.Second,
		Methods: map[string]rpcx.MethodOptions{
			"Arith.Multiply": {Idempotent: rpcx.Yes},
			"Report.*":       {Idempotent: rpcx.Yes, Timeout: time.Minute},
		},
		MaxInFlight: 100, // of each replica
		Balancer:    balancer.P2C(),
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	client, err := d.Dial("tcp", a, b)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var product int
	fmt.Println(client.Call("Arith.Multiply", Args{3, 4}, &product), product)
	// Output: <nil> 12
}

// Any number of calls may be under way; they take no goroutines.
func ExampleClient_Go() {
	addr, stop := replica()
	defer stop()
	client, err := rpcx.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	done := make(chan *rpcx.Call, 3)
	products := make([]int, 3)
	for i := range products {
		client.Go("Arith.Multiply", Args{i, i}, &products[i], done)
	}
	for range products {
		if call := <-done; call.Error != nil {
			log.Fatal(call.Error)
		}
	}
	fmt.Println(products)
	// Output: [0 1 4]
}

// Whatever was not the method's own error comes from CallContext as a CallError, which
// says whether the method may have run.
func ExampleCallError() {
	addr, stop := replica()
	defer stop()
	client, err := rpcx.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	err = client.CallContext(context.Background(), "Arith.Multiply", func() {}, new(int))
	var failed *rpcx.CallError
	if errors.As(err, &failed) {
		failed.Endpoint = "127.0.0.1:7001" // which is another one each time
		fmt.Println("sent:", failed.Sent)
		fmt.Println(failed)
	}
	// Output:
	// sent: no
	// rpcx: Arith.Multiply at 127.0.0.1:7001: gob NewTypeObject can't handle type: func() (1 attempt, did not run)
}

// A graceful end: calls under way have their answers, new ones are refused.
func ExampleClient_CloseContext() {
	addr, stop := replica()
	defer stop()
	client, err := rpcx.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	product := 0
	call := client.Go("Arith.Multiply", Args{7, 8}, &product, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(client.CloseContext(ctx), (<-call.Done).Error, product)
	fmt.Println(client.Call("Arith.Multiply", Args{7, 8}, &product))
	// Output:
	// <nil> <nil> 56
	// connection is shut down
}

// Calls with one key go to one replica while it takes calls, so that its caches help.
func ExampleWithKey() {
	a, stopA := replica()
	defer stopA()
	b, stopB := replica()
	defer stopB()
	d := rpcx.Dialer{Balancer: balancer.Hash()}
	client, err := d.Dial("tcp", a, b)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for slices.ContainsFunc(client.Stats().Endpoints, func(e rpcx.EndpointStats) bool { return !e.Connected }) {
		time.Sleep(time.Millisecond) // what is not connected yet has its keys served by the others
	}
	ctx := rpcx.WithKey(context.Background(), "customer 4711")
	for range 10 {
		if err := client.CallContext(ctx, "Arith.Multiply", Args{7, 8}, new(int)); err != nil {
			log.Fatal(err)
		}
	}
	for _, e := range client.Stats().Endpoints {
		if e.Picks > 0 {
			fmt.Println(e.Picks, "calls at one of two replicas")
		}
	}
	// Output: 10 calls at one of two replicas
}

// A service that repeats its work for a caller that repeats its own says so, lest the
// repetitions multiply.
func ExampleAsRetry() {
	addr, stop := replica()
	defer stop()
	client, err := rpcx.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for try := range 3 {
		ctx := rpcx.WithIdempotent(context.Background())
		if try > 0 {
			ctx = rpcx.AsRetry(ctx)
		}
		product, err := rpcx.Invoke[int](ctx, client, "Arith.Multiply", Args{7, 8})
		if err == nil {
			fmt.Println(product)
			break
		}
	}
	// Output: 56
}

// The live page of a client, where net/rpc has that of its server. Whoever can reach
// it sees addresses and errors, so that it belongs to where pprof is.
func ExampleDebugHandler() {
	addr, stop := replica()
	defer stop()
	client, err := rpcx.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	mux := http.NewServeMux()
	mux.Handle("/debug/rpcx", &rpcx.DebugHandler{Clients: map[string]*rpcx.Client{"arith": client}})
	ops := httptest.NewServer(mux) // or http.ListenAndServe("127.0.0.1:6060", mux)
	defer ops.Close()

	resp, err := http.Get(ops.URL + "/debug/rpcx?format=json")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var now struct {
		Clients []struct {
			Name  string
			Stats struct{ Endpoints []struct{ State string } }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&now); err != nil {
		log.Fatal(err)
	}
	for _, c := range now.Clients {
		fmt.Println(c.Name, "has an endpoint whose breaker is", c.Stats.Endpoints[0].State)
	}
	// Output: arith has an endpoint whose breaker is closed
}
