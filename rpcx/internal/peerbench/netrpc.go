package main

import (
	"context"
	"errors"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
)

// plain is one client of net/rpc: one connection, and calls without a bound.
type plain struct{ *rpc.Client }

func dialPlain(newClient func(io.ReadWriteCloser) *rpc.Client) func([]string, options) (client, error) {
	return func(addrs []string, o options) (client, error) {
		conn, err := o.netDial(context.Background(), "tcp", addrs[0])
		if err != nil {
			return nil, err
		}
		return connected(plain{newClient(conn)})
	}
}

func newJSONClient(conn io.ReadWriteCloser) *rpc.Client {
	return rpc.NewClientWithCodec(jsonrpc.NewClientCodec(conn))
}

func (p plain) call(_ context.Context, m method, in Message) (Message, error) {
	var out Message
	err := p.Call(string(m), in, &out)
	return out, err
}

// netRPC is a connection of net/rpc to one replica, whose calls end with their
// context.
type netRPC struct{ *rpc.Client }

func dialNetRPC(ctx context.Context, addr string, o options) (conn, error) {
	c, err := o.netDial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return netRPC{rpc.NewClient(c)}, nil
}

func (c netRPC) call(ctx context.Context, m method, in Message) (Message, error) {
	out := new(Message) // its own, for an answer that comes too late is decoded into it
	call := c.Go(string(m), in, out, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
	var app rpc.ServerError
	if errors.As(call.Error, &app) {
		return Message{}, appError{app}
	}
	return *out, call.Error
}
