package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"slices"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/jsonrpc"
)

// A client is how a contender is used. Its calls may come at the same time; one that
// returned no error has the right reply, or the contender is wrong.
type client interface {
	call(ctx context.Context, m method, in Message) (Message, error)
	Close() error
}

// A contender is one way to make calls.
type contender struct {
	name string
	wire wire
	// alone says that it knows one replica only, and gets the first.
	alone bool
	// sticks says that it knows more than one replica, and calls one until that fails.
	sticks bool
	// same names the contender whose code it shares but for what a fault brings
	// out; it has no speed of its own.
	same string
	dial func(addrs []string, o options) (client, error)
}

// options are what the tables set for all contenders alike.
type options struct {
	// netDial makes connections.
	netDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// patience is how long an attempt waits for its answer.
	patience time.Duration
}

// What all contenders are given as far as they can take it, so that none has more
// patience than another.
const (
	// patience is how long an attempt waits for its answer, and in place of that
	// Dialer.DetectionTime of rpcx, which has no need of a bound for each attempt.
	patience = time.Second
	// endless is in its place where nothing goes wrong, and 1024 large calls at a
	// time take more than that.
	endless = time.Hour
	// tries is how often an idempotent call may be sent in all.
	tries = 3
	// whole bounds a call with all its attempts.
	whole = 3 * time.Second
	// openFor is how long a breaker stays open.
	openFor = time.Second

	firstPause, lastPause = 50 * time.Millisecond, time.Second // between tries
)

const baseline = "net/rpc"

var contenders = []contender{
	{name: baseline, wire: gobWire, alone: true, dial: dialPlain(rpc.NewClient)},
	{name: "net/rpc/jsonrpc", wire: jsonWire, alone: true, dial: dialPlain(newJSONClient)},
	{name: "net/rpc by hand", wire: gobWire, dial: dialByHand(dialNetRPC)},
	{name: "net/rpc pool", wire: yamuxWire, sticks: true, dial: dialPools},
	{name: "gobreaker+backoff", wire: gobWire, dial: dialGobreaker},
	{name: "failsafe-go", wire: gobWire, dial: dialFailsafe},
	{name: "grpc-go", wire: grpcWire, dial: dialGRPC(plainConfig)},
	{name: "grpc-go+outlier", wire: grpcWire, same: "grpc-go", dial: dialGRPC(outlierConfig)},
	{name: "connect-go", wire: connectWire, dial: dialConnect},
	{name: "jrpc2 by hand", wire: jrpc2Wire, dial: dialByHand(dialJRPC2)},
	{name: "rpcx", wire: gobWire, dial: dialOurs()},
	{name: "rpcx configured", wire: gobWire, same: "rpcx", dial: dialOurs(configured)},
	{name: "rpcx hedged", wire: gobWire, same: "rpcx", dial: dialOurs(hedging)},
	{name: "rpcx StandardClient", wire: gobWire, dial: dialStandard},
	{name: "rpcx both ends", wire: gobServe, dial: dialOurs()},
	{name: "rpcx both ends configured", wire: gobServe, same: "rpcx both ends", dial: dialOurs(configured)},
	{name: "rpcx JSON", wire: jsonWire, dial: dialOurs(speaking(jsonrpc.NewClientCodec))},
	{name: "rpcx JSON-RPC 2 both ends", wire: json2Serve, dial: dialOurs(speaking(codec.NewJSON2Client))},
}

// find returns the contender of the name.
func find(name string) contender {
	return contenders[slices.IndexFunc(contenders, func(c contender) bool { return c.name == name })]
}

// open dials the replicas that the contender can use.
func (c contender) open(addrs []string, o options) (client, error) {
	if o.netDial == nil {
		o.netDial = (&net.Dialer{Timeout: patience}).DialContext
	}
	if o.patience == 0 {
		o.patience = patience
	}
	if c.alone {
		addrs = addrs[:1]
	}
	client, err := c.dial(addrs, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return client, nil
}

// openAll opens n clients. If one cannot be opened, none stays open.
func openAll(n int, open func(i int) (client, error)) ([]client, error) {
	var all []client
	for i := range n {
		c, err := open(i)
		if err != nil {
			for _, c := range all {
				err = errors.Join(err, c.Close())
			}
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// An appError is an error that a server's method has returned: the replica works,
// and to ask another is no use.
type appError struct{ error }

func (e appError) Unwrap() error { return e.error }

func answered(err error) bool {
	var app appError
	return errors.As(err, &app)
}

// errNotSent is wrapped by errors of calls that no server has seen.
var errNotSent = errors.New("not sent")

// again reports whether a careful user sends a call once more after the error.
func again(m method, err error) bool {
	return err != nil && !answered(err) && (m.idempotent() || errors.Is(err, errNotSent))
}
