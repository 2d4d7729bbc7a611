package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"net/rpc"
	"time"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
)

// One function stands in the way of every call. Here two are composed: one answers a call
// by itself, and one measures those that are made.
func ExampleDialer_intercept() {
	addr, stop := replica()
	defer stop()

	type middleware = func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error
	guard := func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
		if a, ok := args.(Args); ok && a.B == 0 {
			return errors.New("nothing is multiplied by zero here")
		}
		return next(ctx, method, args, reply)
	}
	measure := func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
		started := time.Now()
		err := next(ctx, method, args, reply)
		fmt.Println(method, time.Since(started) < time.Minute, err)
		return err
	}
	compose := func(outer, inner middleware) middleware {
		return func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
			return outer(ctx, method, args, reply, func(ctx context.Context, method string, args, reply any) error {
				return inner(ctx, method, args, reply, next)
			})
		}
	}

	d := rpcx.Dialer{Intercept: compose(guard, measure)}
	client, err := d.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var product int
	fmt.Println(client.Call("Arith.Multiply", Args{3, 4}, &product), product)
	fmt.Println(client.Call("Arith.Multiply", Args{3, 0}, &product))
	// Output:
	// Arith.Multiply true <nil>
	// <nil> 12
	// nothing is multiplied by zero here
}

// Code that takes a client of package net/rpc gets one, with all that ours does.
func ExampleClient_StandardClient() {
	multiply := func(client *rpc.Client) (product int, err error) { // of a library, say
		err = client.Call("Arith.Multiply", Args{3, 4}, &product)
		return product, err
	}

	a, stopA := replica()
	defer stopA()
	b, stopB := replica()
	defer stopB()
	client, err := rpcx.Dial("tcp", a+","+b)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(multiply(client.StandardClient()))
	// Output: 12 <nil>
}

// JSON-RPC 2.0 over HTTP: the address that is dialed is the host of the URL. A notification
// gets no answer.
func ExampleClient_Notify() {
	server := rpcx.NewServer()
	told := make(chan string, 1)
	if err := server.RegisterName("Log", Log{told}); err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(jsonhttp.NewHandler(server))
	defer web.Close()

	d := rpcx.Dialer{
		Codec:   codec.NewJSON2Client,
		NetDial: jsonhttp.Dialer(jsonhttp.Config{URL: "http:///rpc"}),
	}
	client, err := d.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Notify(context.Background(), "Log.Note", "lunch"))
	fmt.Println(<-told)
	// Output:
	// <nil>
	// lunch
}

// Log is a service that others notify.
type Log struct{ notes chan<- string }

// Note takes a note.
func (l Log) Note(text string, _ *struct{}) error {
	l.notes <- text
	return nil
}
