package main

import (
	"context"
	"io"
	"net/rpc"

	"resilientrpc/rpcx"
)

// ours is a client of rpcx.
type ours struct{ *rpcx.Client }

func dialOurs(newCodec func(io.ReadWriteCloser) rpc.ClientCodec) func([]string, options) (client, error) {
	return func(addrs []string, o options) (client, error) {
		d := rpcx.Dialer{
			Codec:      newCodec,
			NetDial:    o.netDial,
			Idempotent: func(m string) bool { return method(m).idempotent() },
		}
		if o.patience < endless { // otherwise the defaults do, with pings and all
			d.DetectWithin = o.patience
		}
		c, err := d.Dial("tcp", addrs...)
		if err != nil {
			return nil, err
		}
		return connected(ours{c})
	}
}

func (c ours) call(ctx context.Context, m method, in Message) (Message, error) {
	var out Message
	err := c.CallContext(ctx, string(m), in, &out)
	return out, err
}
