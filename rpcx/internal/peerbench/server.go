package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/hashicorp/yamux"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/peerbench/calcpb"
	"resilientrpc/rpcx/internal/peerbench/calcpb/calcpbconnect"
)

// A wire is a protocol of a server; each has a port of its own.
type wire int

const (
	gobWire    wire = iota // stock net/rpc
	jsonWire               // stock net/rpc/jsonrpc
	gobServe               // rpcx.Serve
	json2Serve             // rpcx.Serve with JSON-RPC 2.0
	grpcWire
	connectWire
	jrpc2Wire
	yamuxWire // stock net/rpc, over streams of yamux
	wires
)

// The variables that make this program a server.
const (
	addrsEnv   = "PEERBENCH_ADDRS"
	journalEnv = "PEERBENCH_JOURNAL"
	replicaEnv = "PEERBENCH_REPLICA"
)

// stopTime is how long a server that is asked to stop lets calls run.
const stopTime = time.Second

// child reports whether this process was one that another of this program has
// started, and has done its work: a server until its standard input was closed, or
// the measurement of an idler.
func child() bool {
	addrs, order := os.Getenv(addrsEnv), os.Getenv(idleEnv)
	if addrs == "" && order == "" {
		return false
	}
	log.SetOutput(io.Discard) // net/rpc logs what is done to it
	var err error
	if order != "" {
		err = idleChild(order)
	} else {
		err = serve(strings.Split(addrs, ","), os.Getenv(journalEnv))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerbench:", err)
		os.Exit(1)
	}
	return true
}

func serve(addrs []string, journal string) error {
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	replica, err := strconv.Atoi(os.Getenv(replicaEnv))
	if err != nil {
		return err
	}
	c := &calc{replica: uint32(replica), journal: f}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	var bound []string
	for w, run := range servers(c) {
		lis, err := net.Listen("tcp", addrs[w])
		if err != nil {
			return err
		}
		bound = append(bound, lis.Addr().String())
		wg.Go(func() { run(ctx, lis) })
	}
	fmt.Println(strings.Join(bound, ","))
	obey(c)
	stop()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * stopTime): // what hangs ends with the process
	}
	return nil
}

// obey does what the lines of the standard input say, until it ends.
func obey(c *calc) {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		order, arg, _ := strings.Cut(in.Text(), " ")
		switch order {
		case "failing":
			c.failing.Store(arg == "true")
		case "slow":
			d, _ := time.ParseDuration(arg)
			c.slow.Store(int64(d))
		}
		fmt.Println(int64(processCPU())) // the answer to every order
	}
}

// servers are the ways to serve, by wire; each ends in order soon after its context.
func servers(c *calc) [wires]func(context.Context, net.Listener) {
	stock := rpc.NewServer()
	if err := stock.Register(Calc{c}); err != nil {
		panic(err) // out of reach: the service is fit
	}
	// ours is a Serve with the codec; its error is of no use to a process that ends.
	ours := func(newCodec func(io.ReadWriteCloser) rpc.ServerCodec) func(context.Context, net.Listener) {
		return func(ctx context.Context, lis net.Listener) {
			cfg := rpcx.ServeConfig{StopTimeout: stopTime}
			cfg.Serve(ctx, lis, stock, newCodec) //nolint:errcheck // see above
		}
	}
	return [wires]func(context.Context, net.Listener){
		gobWire: func(ctx context.Context, lis net.Listener) { accept(ctx, lis, func(c net.Conn) { stock.ServeConn(c) }) },
		jsonWire: func(ctx context.Context, lis net.Listener) {
			accept(ctx, lis, func(c net.Conn) { stock.ServeCodec(jsonrpc.NewServerCodec(c)) })
		},
		gobServe:    ours(codec.NewGobServer),
		json2Serve:  ours(codec.NewJSON2Server),
		grpcWire:    c.serveGRPC,
		connectWire: c.serveConnect,
		jrpc2Wire: func(ctx context.Context, lis net.Listener) {
			accept(ctx, lis, func(conn net.Conn) {
				// Without Concurrency, as many run as there are processors.
				jrpc2.NewServer(jrpc2Calc(c), &jrpc2.ServerOptions{Concurrency: 1024}).Start(channel.Line(conn, conn)).Wait() //nolint:errcheck // the client is gone
			})
		},
		yamuxWire: func(ctx context.Context, lis net.Listener) {
			accept(ctx, lis, func(conn net.Conn) { serveStreams(conn, stock) })
		},
	}
}

// accept serves connections until the context ends. It is all that net/rpc has, and
// calls under way get a moment, as its users give them.
func accept(ctx context.Context, lis net.Listener, serve func(net.Conn)) {
	defer context.AfterFunc(ctx, func() { lis.Close() })()
	for {
		conn, err := lis.Accept()
		if err != nil {
			time.Sleep(2 * work)
			return
		}
		go serve(conn)
	}
}

// serveStreams serves each stream of a connection.
func serveStreams(conn net.Conn, s *rpc.Server) {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	session, err := yamux.Server(conn, config)
	if err != nil {
		panic(err) // out of reach: the configuration is fit
	}
	defer session.Close()
	for {
		stream, err := session.Accept()
		if err != nil {
			return
		}
		go s.ServeConn(stream)
	}
}

func (c *calc) serveGRPC(ctx context.Context, lis net.Listener) {
	s := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	calcpb.RegisterCalcServer(s, grpcCalc{calc: c})
	done := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(done)
		late := time.AfterFunc(stopTime, s.Stop)
		defer late.Stop()
		s.GracefulStop()
	})
	s.Serve(lis) //nolint:errcheck // it ends with the process
	if ctx.Err() != nil {
		<-done
	}
}

func (c *calc) serveConnect(ctx context.Context, lis net.Listener) {
	mux := http.NewServeMux()
	mux.Handle(calcpbconnect.NewCalcHandler(connectCalc{c}))
	s := &http.Server{Handler: mux, Protocols: new(http.Protocols), ReadHeaderTimeout: 10 * time.Second}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	// By default a connection has 250 calls at a time, and a further one is made.
	s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2048}
	done := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(done)
		late, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		s.Shutdown(late) //nolint:errcheck // what is late ends with the process
	})
	s.Serve(lis) //nolint:errcheck // it ends with the process
	if ctx.Err() != nil {
		<-done
	}
}
