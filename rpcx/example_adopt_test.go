package rpcx_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/rpc"
	"time"

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
