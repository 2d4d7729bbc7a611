package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// listening is the line by which a replica tells its parent its address.
const listening = "listening on "

func runServe(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	var w wire
	w.register(fs)
	w.registerServer(fs)
	addr := fs.String("addr", "127.0.0.1:7001", "address to listen on; port 0 is a free one\n")
	name := fs.String("name", "", "`name` in every answer (default the address)")
	path := fs.String("journal", "", "`file` to which each executed deposit is appended")
	work := fs.Duration("work", 0, "how long each call takes")
	untilEOF := fs.Bool("until-eof", false, "stop when standard input ends")
	if err := parse(fs, args, stdout); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return usagef("serve: unexpected argument %q", fs.Arg(0))
	case *work < 0:
		return usagef("serve: -work is %v; want 0 or more", *work)
	}
	if err := w.check(); err != nil {
		return err
	}

	calc := &Calc{replica: *name, work: *work}
	if *path != "" {
		j, err := openJournal(*path)
		if err != nil {
			return err
		}
		defer j.close() //nolint:errcheck // each append has been checked
		calc.journal = j
	}
	lis, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	if calc.replica == "" {
		calc.replica = lis.Addr().String()
	}
	if *untilEOF {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func() { // ends with the process: nothing can interrupt a read of stdin
			io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that counts
			stop()
		}()
	}
	fmt.Fprintln(stdout, listening+lis.Addr().String())
	return w.serve(ctx, lis, calc)
}

// serve answers calls on lis until ctx ends. It is net/rpc as it comes, unless it is to be
// rpcx.Serve.
func (w wire) serve(ctx context.Context, lis net.Listener, calc *Calc) error {
	srv := rpc.NewServer()
	if err := srv.Register(calc); err != nil {
		return err
	}
	if w.server == "rpcx" {
		newCodec := codec.NewGobServer
		if w.codec == "jsonrpc" {
			newCodec = codec.NewJSONServer
		}
		return rpcx.Serve(ctx, lis, srv, newCodec)
	}
	defer context.AfterFunc(ctx, func() { lis.Close() })() //nolint:errcheck // accept fails once it is closed
	err := w.accept(lis, srv)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (w wire) accept(lis net.Listener, srv *rpc.Server) error {
	if w.http {
		mux := http.NewServeMux()
		mux.Handle(rpc.DefaultRPCPath, srv)
		hs := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
		return hs.Serve(lis)
	}
	for {
		conn, err := lis.Accept()
		if err != nil {
			return err
		}
		if w.codec == "jsonrpc" {
			go srv.ServeCodec(jsonrpc.NewServerCodec(conn))
		} else {
			go srv.ServeConn(conn)
		}
	}
}
