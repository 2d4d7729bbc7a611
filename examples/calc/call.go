package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"resilientrpc/rpcx"
)

func runCall(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("call", flag.ContinueOnError)
	var w wire
	w.register(fs)
	servers := fs.String("servers", "", serversUsage)
	timeout := fs.Duration("timeout", 10*time.Second, "bound on the whole expression")
	if err := parse(fs, args, stdout); err != nil {
		return err
	}
	if err := w.check(); err != nil {
		return err
	}
	addrs, err := splitServers(*servers)
	if err != nil {
		return err
	}
	if err := positive("timeout", *timeout); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usagef("call: %d arguments; want one expression, in quotes", fs.NArg())
	}
	e, err := parseExpr(fs.Arg(0))
	if err != nil {
		return usagef("%v", err)
	}

	client, err := w.dialer().Dial("tcp", addrs...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	v, err := e.eval(func(method string, a, b float64) (float64, error) {
		r, err := rpcx.Invoke[Answer](ctx, client, "Calc."+method, Args{a, b})
		return r.Value, err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", fs.Arg(0), err)
	}
	fmt.Fprintln(stdout, strconv.FormatFloat(v, 'g', -1, 64))
	return nil
}
