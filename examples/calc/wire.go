package main

import (
	"flag"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"slices"
	"strings"
	"time"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/jsonrpc"
)

// A wire says how clients and servers talk. Every subcommand has its flags.
type wire struct {
	codec string // "gob" or "jsonrpc"
	http  bool   // connect through HTTP, as rpc.DialHTTP does

	server string // "rpcx" for rpcx.Serve; else net/rpc's server
}

func (w *wire) register(fs *flag.FlagSet) {
	fs.StringVar(&w.codec, "codec", "gob", "encoding: gob or jsonrpc")
	fs.BoolVar(&w.http, "http", false, "connect through HTTP, like rpc.DialHTTP (gob only)")
}

// registerServer is for the subcommands that start servers for more than one call.
func (w *wire) registerServer(fs *flag.FlagSet) {
	fs.StringVar(&w.server, "server", "net/rpc", "server: net/rpc, or rpcx for rpcx.Serve\n")
}

func (w wire) check() error {
	switch {
	case w.server != "" && w.server != "net/rpc" && w.server != "rpcx":
		return usagef("-server is %q; want net/rpc or rpcx", w.server)
	case w.server == "rpcx" && w.http:
		return usagef("-http goes with -server net/rpc only: rpcx.Serve has no HTTP handler")
	case w.codec != "gob" && w.codec != "jsonrpc":
		return usagef("-codec is %q; want gob or jsonrpc", w.codec)
	case w.http && w.codec != "gob":
		return usagef("-http goes with -codec gob only: net/rpc's HTTP handler knows no other")
	}
	return nil
}

// args are those of a client.
func (w wire) args() []string {
	args := []string{"-codec", w.codec}
	if w.http {
		args = append(args, "-http")
	}
	return args
}

// serverArgs are those of a server.
func (w wire) serverArgs() []string {
	if w.server == "" {
		return w.args()
	}
	return append(w.args(), "-server", w.server)
}

// dialPlain is the standard library and nothing else.
func (w wire) dialPlain(addr string) (*rpc.Client, error) {
	switch {
	case w.http:
		return rpc.DialHTTP("tcp", addr)
	case w.codec == "jsonrpc":
		return stdjson.Dial("tcp", addr)
	}
	return rpc.Dial("tcp", addr)
}

// dialer is all that an rpcx client of this program needs to be told. A method
// that is not named idempotent is never sent twice.
func (w wire) dialer() *rpcx.Dialer {
	d := &rpcx.Dialer{Methods: map[string]rpcx.MethodOptions{
		"Calc.*":       {Idempotent: rpcx.Yes},
		"Calc.Deposit": {Idempotent: rpcx.No},
	}}
	if w.codec == "jsonrpc" {
		d.Codec = jsonrpc.NewClientCodec
	}
	if w.http {
		d.HTTPPath = rpc.DefaultRPCPath
	}
	return d
}

// serversUsage explains the flag that splitServers reads.
const serversUsage = "`addresses` of the replicas, separated by commas, or\nwhere they are listed: file:///path,\ndns:///host:port or srv:///service"

// splitServers turns "a:1,b:2" into its addresses. A URL is left to the dialer.
func splitServers(list string) ([]string, error) {
	if list == "" {
		return nil, usagef("-servers is missing; want addresses such as 127.0.0.1:7001,127.0.0.1:7002")
	}
	if isURL(list) {
		return []string{list}, nil
	}
	addrs := strings.Split(list, ",")
	for i, a := range addrs {
		addrs[i] = strings.TrimSpace(a)
		if _, port, err := net.SplitHostPort(addrs[i]); err != nil || port == "" {
			return nil, usagef("-servers has %q; want host:port, several separated by commas", a)
		}
		if slices.Contains(addrs[:i], addrs[i]) {
			return nil, usagef("-servers has %q twice; name each replica once", addrs[i])
		}
	}
	return addrs, nil
}

func isURL(servers string) bool { return strings.Contains(servers, "://") }

// positive rejects a duration flag that would make no sense.
func positive(name string, d time.Duration) error {
	if d <= 0 {
		return usagef("-%s is %v; want more than 0", name, d)
	}
	return nil
}
