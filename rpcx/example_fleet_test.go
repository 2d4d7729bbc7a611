package rpcx_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

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
