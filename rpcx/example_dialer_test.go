package rpcx_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// All connections are encrypted, and the server proves its name.
func ExampleDialer_tls() {
	cert, roots := certificate("calc.internal")
	addr, stop := serve(Arith{}, func(server *rpc.Server, lis net.Listener) {
		server.Accept(tls.NewListener(lis, &tls.Config{Certificates: []tls.Certificate{cert}}))
	})
	defer stop()

	d := rpcx.Dialer{TLSConfig: &tls.Config{
		RootCAs:    roots,
		ServerName: "calc.internal", // without it, the host of each address
	}}
	client, err := d.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}))

	d.TLSConfig = &tls.Config{RootCAs: roots, ServerName: "elsewhere.internal"}
	_, err = d.Dial("tcp", addr)
	fmt.Println(errors.As(err, new(x509.HostnameError)))
	// Output:
	// 56 <nil>
	// true
}

// JSON-RPC 2.0 over TCP.
func ExampleDialer_jsonRPC2() {
	addr, stop := serve(Arith{}, func(server *rpc.Server, lis net.Listener) {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go server.ServeCodec(codec.NewJSON2Server(conn))
		}
	})
	defer stop()

	d := rpcx.Dialer{Codec: codec.NewJSON2Client}
	client, err := d.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}))

	_, err = rpcx.Invoke[int](context.Background(), client, "Arith.Divide", Args{7, 0})
	var object *codec.Error
	if errors.As(err, &object) {
		fmt.Println(object.Code, object.Message)
	}
	// Output:
	// 56 <nil>
	// -32601 rpc: can't find method Arith.Divide
}

// Options by method. The full name wins over prefixes, and longer prefixes over shorter
// ones, field by field.
func ExampleMethodOptions() {
	addr, stop := replica()
	defer stop()
	d := rpcx.Dialer{
		CallTimeout: 2 * time.Second,
		Methods: map[string]rpcx.MethodOptions{
			"*":           {Idempotent: rpcx.Yes},
			"Bank.*":      {Idempotent: rpcx.No},
			"Bank.Get*":   {Idempotent: rpcx.Yes},
			"Bank.Report": {Timeout: time.Minute}, // not idempotent, by "Bank.*"
		},
	}
	client, err := d.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}))
	// Output: 56 <nil>
}

// At most so many calls are in flight to each endpoint. One more goes to another endpoint,
// or waits for QueueTimeout.
func ExampleDialer_maxInFlight() {
	addr, stop := serve(slowArith{}, (*rpc.Server).Accept)
	defer stop()
	d := rpcx.Dialer{
		MaxInFlight:  1,
		QueueTimeout: -1, // do not wait
	}
	client, err := d.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	slow := client.Go("Arith.Wait", 100*time.Millisecond, new(struct{}), nil)
	_, err = rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8})
	fmt.Println(errors.Is(err, rpcx.ErrOverloaded))

	<-slow.Done
	fmt.Println(rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}))
	// Output:
	// true
	// 56 <nil>
}

// While servers refuse too many calls, the client turns a share of the calls away itself.
func ExampleDialer_throttle() {
	addr, stop := replica()
	defer stop()
	d := rpcx.Dialer{Throttle: &breaker.ThrottleConfig{
		K:      1.5,              // calls that may be tried for each that is accepted
		Window: 30 * time.Second, // within this time
	}}
	client, err := d.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	product, err := rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8})
	switch {
	case errors.Is(err, breaker.ErrThrottled):
		fmt.Println("try again later")
	case err == nil:
		fmt.Println(product)
	}
	// Output: 56
}

// A client that starts before its server, and whose calls wait for it.
func ExampleDialer_waitForReady() {
	dir, err := os.MkdirTemp("", "calc")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "calc.sock")

	d := rpcx.Dialer{
		Lazy:         true,             // Dial does not wait for a connection
		WaitForReady: true,             // calls wait for an endpoint
		CallTimeout:  30 * time.Second, // until then
	}
	client, err := d.Dial("unix", socket) // where no server listens
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	product := 0
	call := client.Go("Arith.Multiply", Args{7, 8}, &product, nil)

	lis, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	defer lis.Close()
	server := rpc.NewServer()
	if err := server.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	go server.Accept(lis)

	fmt.Println((<-call.Done).Error, product)
	// Output: <nil> 56
}

// A replica that has lost its database answers at once, with an error. Classify says that
// this is the replica's failure, so that idempotent calls are tried elsewhere, and its
// breaker opens.
func ExampleDialer_classify() {
	broken, stopBroken := serve(brokenArith{}, (*rpc.Server).Accept)
	defer stopBroken()
	works, stopWorks := replica()
	defer stopWorks()

	d := rpcx.Dialer{
		Methods: map[string]rpcx.MethodOptions{"Arith.*": {Idempotent: rpcx.Yes}},
		Classify: func(_ string, err error) rpcx.Class {
			if err.Error() == "database is closed" { // errors of methods arrive as text
				return rpcx.EndpointFailure
			}
			return rpcx.AppError
		},
	}
	client, err := d.Dial("tcp", broken, works)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for range 10 {
		if _, err := rpcx.Invoke[int](context.Background(), client, "Arith.Multiply", Args{7, 8}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("10 of 10 calls succeeded")
	// Output: 10 of 10 calls succeeded
}
