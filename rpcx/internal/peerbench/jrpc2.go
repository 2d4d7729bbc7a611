package main

import (
	"context"
	"errors"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
)

// jrpc2Conn is a client of jrpc2, which is one connection to one replica; the rest
// is byHand.
type jrpc2Conn struct{ *jrpc2.Client }

func dialJRPC2(ctx context.Context, addr string, o options) (conn, error) {
	c, err := o.netDial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return jrpc2Conn{jrpc2.NewClient(channel.Line(c, c), nil)}, nil
}

func (c jrpc2Conn) call(ctx context.Context, m method, in Message) (Message, error) {
	var out Message
	err := c.CallResult(ctx, string(m), in, &out)
	var object *jrpc2.Error
	if errors.As(err, &object) && ctx.Err() == nil && !c.IsStopped() {
		err = appError{err}
	}
	return out, err
}
