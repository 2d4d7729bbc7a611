package main

import (
	"context"
	"errors"
	"net/rpc"

	"resilientrpc/rpcx"
)

// A caller is what both clients have in common with rpc.Client.
type caller interface {
	Call(serviceMethod string, args, reply any) error
	Close() error
}

// A subject is a client under observation.
type subject interface {
	caller
	usage() []usageOf
}

// usageOf is what one client does with one replica.
type usageOf struct {
	addr     string
	picks    uint64 // attempts sent its way so far
	inFlight int    // attempts whose answer is awaited now
}

// resilient is an rpcx client whose errors say what is known of the call; there is
// nothing else to add but the observation.
type resilient struct{ *rpcx.Client }

func (r resilient) Call(serviceMethod string, args, reply any) error {
	return r.CallContext(context.Background(), serviceMethod, args, reply)
}

func (r resilient) usage() []usageOf {
	var all []usageOf
	for _, e := range r.Stats().Endpoints {
		all = append(all, usageOf{e.Address, e.Picks, e.InFlight})
	}
	return all
}

// sentOf says whether a failed call was executed, as far as its error knows.
// It reads the errors of both clients.
func sentOf(err error) rpcx.Sent {
	var server rpc.ServerError
	var ce *rpcx.CallError
	switch {
	case errors.As(err, &server):
		return rpcx.Executed
	case errors.As(err, &ce):
		return ce.Sent
	case errors.Is(err, errNotSent):
		return rpcx.NotSent
	}
	return rpcx.MaybeSent
}
