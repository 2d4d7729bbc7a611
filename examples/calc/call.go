package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilientrpc/rpcx"
)

func runCall(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("call", flag.ContinueOnError)
	var w wire
	w.register(fs)
	servers := fs.String("servers", "", serversUsage+"\n(default three replicas, started for this call)")
	timeout := fs.Duration("timeout", 10*time.Second, "bound on the whole expression")
	if err := parse(fs, args, stdout); err != nil {
		return withMinusHint(err, args)
	}
	if err := w.check(); err != nil {
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
	addrs, stop, err := serversFor(ctx, w, *servers, stderr)
	if err != nil {
		return err
	}
	defer stop()

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

// withMinusHint adds what to do about an expression that was taken for a flag.
func withMinusHint(err error, args []string) error {
	var bad *usageError
	if errors.As(err, &bad) && !slices.Contains(args, "--") {
		for _, a := range args {
			if _, notExpr := parseExpr(a); notExpr == nil && strings.HasPrefix(a, "-") {
				return usagef("%v; write -- before an expression that begins with a minus: -- '%s'", bad, a)
			}
		}
	}
	return err
}

// serversFor returns the addresses of the replicas that a list names, or else of ones that
// it starts, and a function that ends those.
func serversFor(ctx context.Context, w wire, list string, stderr io.Writer) (addrs []string, stop func(), err error) {
	if list != "" {
		addrs, err = splitServers(list)
		return addrs, func() {}, err
	}
	dir, err := os.MkdirTemp("", "calc")
	if err != nil {
		return nil, nil, err
	}
	f, err := startFleet(ctx, w, 0, dir, stderr, replicaNames...)
	stop = func() {
		f.kill()
		os.RemoveAll(dir) //nolint:errcheck // the system clears it up in time
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return f.addrs(), stop, nil
}
