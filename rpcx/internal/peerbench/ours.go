package main

import (
	"context"
	"io"
	"net/rpc"
	"strings"

	"resilientrpc/rpcx"
)

// ours is a client of rpcx.
type ours struct{ *rpcx.Client }

// A setting changes the options of a client of rpcx.
type setting func(*rpcx.Dialer)

// hedging hedges by default.
func hedging(d *rpcx.Dialer) { d.Hedge = new(rpcx.Hedge) }

// speaking has a codec other than gob.
func speaking(newCodec func(io.ReadWriteCloser) rpc.ClientCodec) setting {
	return func(d *rpcx.Dialer) { d.Codec = newCodec }
}

// configured is what a user sets whose replicas may all be gone for a while, and return
// an error while they are broken.
func configured(d *rpcx.Dialer) {
	d.Lazy, d.WaitForReady = true, true
	d.Classify = func(_ string, err error) rpcx.Class {
		if strings.Contains(err.Error(), errBroken.Error()) {
			return rpcx.EndpointFailure
		}
		return rpcx.AppError
	}
}

// ourDialer has the options that all clients of rpcx have here.
func ourDialer(o options, settings ...setting) *rpcx.Dialer {
	d := &rpcx.Dialer{
		NetDial: o.netDial,
		Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}, string(deposit): {Idempotent: rpcx.No}},
	}
	if o.patience < endless { // otherwise the defaults do, with pings and all
		d.DetectionTime = o.patience
	}
	for _, set := range settings {
		set(d)
	}
	return d
}

func dialOurs(settings ...setting) func([]string, options) (client, error) {
	return func(addrs []string, o options) (client, error) {
		c, err := ourDialer(o, settings...).Dial("tcp", addrs...)
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

// dialStandard dials a client of net/rpc itself that makes its calls through rpcx. It
// has no contexts, and in their place a bound for each call.
func dialStandard(addrs []string, o options) (client, error) {
	d := ourDialer(o)
	if o.patience < endless {
		d.CallTimeout = whole
	}
	c, err := d.Dial("tcp", addrs...)
	if err != nil {
		return nil, err
	}
	return connected(plain{c.StandardClient()})
}
