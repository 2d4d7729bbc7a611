package main

import (
	"context"
	"io"
	"net/rpc"

	"resilientrpc/rpcx"
)

// ours is a client of rpcx.
type ours struct{ *rpcx.Client }

// dialOurs dials with a codec, or with gob, and hedges, or none.
func dialOurs(newCodec func(io.ReadWriteCloser) rpc.ClientCodec, hedge *rpcx.Hedge) func([]string, options) (client, error) {
	return func(addrs []string, o options) (client, error) {
		d := rpcx.Dialer{
			Codec:   newCodec,
			NetDial: o.netDial,
			Hedge:   hedge,
			Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}, string(deposit): {Idempotent: rpcx.No}},
		}
		if o.patience < endless { // otherwise the defaults do, with pings and all
			d.DetectionTime = o.patience
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
