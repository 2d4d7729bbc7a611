package rpcx_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// Replicas with weights: the second gets three times as many calls.
func ExampleStatic() {
	a, stopA := replica()
	defer stopA()
	b, stopB := replica()
	defer stopB()
	d := rpcx.Dialer{Resolver: rpcx.Static(
		rpcx.Endpoint{Address: a},
		rpcx.Endpoint{Address: b, Weight: 3},
	)}
	client, err := d.Dial("tcp")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}))
	// Output: 56 <nil>
}

// A list in a file that is watched, by the address alone. "dns:///calc.internal:7001" and
// "srv:///_rpc._tcp.calc.internal" work the same way.
func ExampleDial_file() {
	addr, stop := replica()
	defer stop()
	dir, err := os.MkdirTemp("", "replicas")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "calc.replicas")
	if err := os.WriteFile(file, []byte(addr+"\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	client, err := rpcx.Dial("tcp", "file://"+filepath.ToSlash(file))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}))
	// Output: 56 <nil>
}

// All addresses of a host. The client asks the DNS again when their TTL ends. Without a
// name server in the URL, as in "dns:///calc.internal:7001", it asks those of the system.
func ExampleDial_dns() {
	addr, stop := replica()
	defer stop()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		log.Fatal(err)
	}
	nameServer, stopNameServer := resolves("calc.internal.", "127.0.0.1")
	defer stopNameServer()

	client, err := rpcx.Dial("tcp", "dns://"+nameServer+"/calc.internal:"+port)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}))
	// Output: 56 <nil>
}

// registry is a resolver of one's own: a list that changes when it is published.
type registry struct{ published chan []string }

func (r registry) Watch(ctx context.Context, deliver func([]rpcx.Endpoint, error)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case addresses := <-r.published:
			var set []rpcx.Endpoint
			for _, a := range addresses {
				set = append(set, rpcx.Endpoint{Address: a})
			}
			deliver(set, nil)
		}
	}
}

// A resolver of one's own has one method, Watch, which delivers the complete set of
// endpoints whenever it changes:
//
//	func (r registry) Watch(ctx context.Context, deliver func([]rpcx.Endpoint, error)) error {
//		for {
//			select {
//			case <-ctx.Done():
//				return ctx.Err()
//			case addresses := <-r.published:
//				var set []rpcx.Endpoint
//				for _, a := range addresses {
//					set = append(set, rpcx.Endpoint{Address: a})
//				}
//				deliver(set, nil)
//			}
//		}
//	}
func ExampleResolver() {
	a, stopA := replica()
	defer stopA()
	b, stopB := replica()
	defer stopB()

	r := registry{published: make(chan []string)}
	go func() { r.published <- []string{a} }()
	d := rpcx.Dialer{Resolver: r}
	client, err := d.Dial("tcp") // waits for the first set
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(len(client.Stats().Endpoints), "endpoint")

	r.published <- []string{a, b}
	for len(client.Stats().Endpoints) < 2 {
		time.Sleep(time.Millisecond) // it is applied soon
	}
	fmt.Println("2 endpoints")
	// Output:
	// 1 endpoint
	// 2 endpoints
}

// A server that stops in order: it refuses what is new, so that clients move on, and
// answers what runs.
func ExampleServe() {
	server := rpcx.NewServer()
	if err := server.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background()) // or signal.NotifyContext
	served := make(chan error, 1)
	go func() { served <- rpcx.Serve(ctx, lis, server, codec.NewGobServer) }()

	client, err := rpcx.Dial("tcp", lis.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}))
	client.Close()
	stop()
	fmt.Println(<-served)
	// Output:
	// 56 <nil>
	// <nil>
}
