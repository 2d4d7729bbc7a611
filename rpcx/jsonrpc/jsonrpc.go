// Package jsonrpc has the names of net/rpc/jsonrpc over package rpcx, so that a
// program gets resilient JSON-RPC 1.0 clients by swapping its import.
//
// An address may list replicas, as for [rpcx.Dial]. To set options, use
// [rpcx.Dialer] with Codec: jsonrpc.NewClientCodec.
package jsonrpc

import (
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// Dial connects to the JSON-RPC server, or to the replicas, at address.
func Dial(network, address string) (*rpcx.Client, error) {
	d := rpcx.Dialer{Codec: NewClientCodec}
	return d.Dial(network, address)
}

// NewClient returns a client that calls over conn, the one connection it ever
// uses; see [rpcx.NewClient].
func NewClient(conn io.ReadWriteCloser) *rpcx.Client {
	d := rpcx.Dialer{Codec: NewClientCodec}
	c, err := d.NewClient(conn)
	if err != nil {
		panic(err) // out of reach: this Dialer is valid
	}
	return c
}

// NewClientCodec returns a client codec for JSON-RPC 1.0 as net/rpc/jsonrpc speaks it.
func NewClientCodec(conn io.ReadWriteCloser) rpc.ClientCodec { return codec.NewJSONClient(conn) }

// NewServerCodec is net/rpc/jsonrpc's server codec.
func NewServerCodec(conn io.ReadWriteCloser) rpc.ServerCodec { return jsonrpc.NewServerCodec(conn) }

// ServeConn serves one JSON-RPC connection with net/rpc's default server until
// the client hangs up.
func ServeConn(conn io.ReadWriteCloser) { jsonrpc.ServeConn(conn) }
