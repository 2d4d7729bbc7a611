package main

import (
	"context"
	"crypto/tls"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/instant"
)

// A client is what the clients of net/rpc and rpcx have in common.
type client interface {
	Call(serviceMethod string, args, reply any) error
	Go(serviceMethod string, args, reply any, done chan *rpc.Call) *rpc.Call
	Close() error
}

// dialer connects a client.
type dialer func(*addresses) (client, error)

// netRPC connects net/rpc's client to net/rpc's server.
func netRPC(w wire) dialer {
	return func(a *addresses) (client, error) {
		switch w {
		case jsonTCP:
			return stdjson.Dial("tcp", a.Stock[w])
		case gobTLS:
			cfg, err := a.clientTLS()
			if err != nil {
				return nil, err
			}
			conn, err := tls.Dial("tcp", a.Stock[w], cfg)
			if err != nil {
				return nil, err
			}
			return rpc.NewClient(conn), nil
		default:
			return rpc.Dial("tcp", a.Stock[w])
		}
	}
}

// toStock connects rpcx's client to net/rpc's server.
func toStock(w wire) dialer {
	return func(a *addresses) (client, error) { return dialRPCX(a, w, a.Stock[w]) }
}

// toServe connects rpcx's client to rpcx.Serve.
func toServe(w wire) dialer {
	return func(a *addresses) (client, error) { return dialRPCX(a, w, a.Serve[w]) }
}

// toForgetful connects rpcx's client to rpcx.Serve that keeps no answers.
func toForgetful(w wire) dialer {
	return func(a *addresses) (client, error) { return dialRPCX(a, w, a.Forgets[w]) }
}

func dialRPCX(a *addresses, w wire, addr string) (*rpcx.Client, error) {
	var d rpcx.Dialer
	switch w {
	case jsonTCP:
		d.Codec = codec.NewJSONClient
	case gobTLS:
		cfg, err := a.clientTLS()
		if err != nil {
			return nil, err
		}
		d.TLSConfig = cfg
	}
	return d.Dial("tcp", addr)
}

// withTimeout gives each call to net/rpc's server a context with a timeout.
func withTimeout(w wire) dialer {
	return func(a *addresses) (client, error) {
		c, err := dialRPCX(a, w, a.Stock[w])
		return timed{c}, err
	}
}

// withTimeoutToServe gives each call to rpcx.Serve a context with a timeout, which the
// server is told.
func withTimeoutToServe(w wire) dialer {
	return func(a *addresses) (client, error) {
		c, err := dialRPCX(a, w, a.Serve[w])
		return timed{c}, err
	}
}

// withDeadlineToServe gives all calls to rpcx.Serve one deadline, as a request that makes
// several calls does.
func withDeadlineToServe(w wire) dialer {
	return func(a *addresses) (client, error) {
		c, err := dialRPCX(a, w, a.Serve[w])
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		return bounded{c, ctx, cancel}, err
	}
}

type bounded struct {
	*rpcx.Client
	ctx    context.Context //nolint:containedctx // it is that of all calls
	cancel context.CancelFunc
}

func (c bounded) Call(serviceMethod string, args, reply any) error {
	return c.CallContext(c.ctx, serviceMethod, args, reply)
}

func (c bounded) Close() error {
	c.cancel()
	return c.Client.Close()
}

type timed struct{ *rpcx.Client }

func (c timed) Call(serviceMethod string, args, reply any) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return c.CallContext(ctx, serviceMethod, args, reply)
}

// instantNetRPC is net/rpc's client over a codec that costs nothing.
func instantNetRPC(*addresses) (client, error) {
	return rpc.NewClientWithCodec(instant.NewCodec(nil)), nil
}

// instantRPCX is rpcx's client over the same codec.
func instantRPCX(*addresses) (client, error) {
	d := rpcx.Dialer{Codec: instant.NewCodec, NetDial: instant.Dial}
	return d.Dial("tcp", "a:1")
}
