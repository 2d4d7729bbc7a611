// Package jsonrpc is a drop-in replacement for net/rpc/jsonrpc, with the clients of package
// rpcx: a program gets them when it changes its import.
//
// An address may list replicas, as for [rpcx.Dial]. To set options, use [rpcx.Dialer] with
// Codec: jsonrpc.NewClientCodec.
package jsonrpc

import (
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// Dial connects to the JSON-RPC 1.0 server at address, or to its replicas; see [rpcx.Dial].
func Dial(network, address string) (*rpcx.Client, error) {
	d := rpcx.Dialer{Codec: NewClientCodec}
	return d.Dial(network, address)
}

// NewClient returns a client that uses conn only, and does not redial. It panics if conn is
// nil. See [rpcx.NewClient].
func NewClient(conn io.ReadWriteCloser) *rpcx.Client {
	d := rpcx.Dialer{Codec: NewClientCodec}
	c, err := d.NewClient(conn)
	if err != nil {
		panic(err) // conn is nil; this Dialer is valid
	}
	return c
}

// NewClientCodec returns the client codec codec.NewJSONClient, which is compatible with
// net/rpc/jsonrpc's servers.
func NewClientCodec(conn io.ReadWriteCloser) rpc.ClientCodec { return codec.NewJSONClient(conn) }

// NewServerCodec returns net/rpc/jsonrpc's server codec.
func NewServerCodec(conn io.ReadWriteCloser) rpc.ServerCodec { return jsonrpc.NewServerCodec(conn) }

// ServeConn serves one JSON-RPC connection with rpc.DefaultServer. It returns when the
// client closes the connection.
func ServeConn(conn io.ReadWriteCloser) { jsonrpc.ServeConn(conn) }
