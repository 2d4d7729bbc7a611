package rpcx

import (
	"io"
	"net"
	"net/http"
	"net/rpc"
)

// The types, values and functions of net/rpc have the same names here, so that a
// program that imports this package in place of net/rpc compiles without further
// changes. See net/rpc for their documentation.
type (
	// Call is an active call, as [Client.Go] returns it.
	Call = rpc.Call
	// ClientCodec reads and writes one wire format on the client's side.
	ClientCodec = rpc.ClientCodec
	// Request is the header of every call.
	Request = rpc.Request
	// Response is the header of every reply.
	Response = rpc.Response
	// Server is net/rpc's server; this package does not wrap it.
	Server = rpc.Server
	// ServerCodec reads and writes one wire format on the server's side.
	ServerCodec = rpc.ServerCodec
	// ServerError is an error that the remote method returned. It reaches the
	// caller bare, never inside a [CallError].
	ServerError = rpc.ServerError
)

// The paths that [HandleHTTP] and [DialHTTP] use.
const (
	DefaultRPCPath   = rpc.DefaultRPCPath
	DefaultDebugPath = rpc.DefaultDebugPath
)

// ErrShutdown is the error of every call on a closed [Client]. It is not wrapped, as in
// net/rpc. Unlike there, it means only that the client was closed, or that the one
// connection that was given to [NewClient] has ended.
var ErrShutdown = rpc.ErrShutdown

// DefaultServer is net/rpc's default server.
var DefaultServer = rpc.DefaultServer

// NewServer returns a new [Server].
func NewServer() *Server { return rpc.NewServer() }

// Register publishes the receiver's methods in the [DefaultServer].
func Register(rcvr any) error { return rpc.Register(rcvr) }

// RegisterName is like [Register] with the given name for the service.
func RegisterName(name string, rcvr any) error { return rpc.RegisterName(name, rcvr) }

// Accept serves every connection that lis accepts with the [DefaultServer].
func Accept(lis net.Listener) { rpc.Accept(lis) }

// ServeConn serves one connection with the [DefaultServer] until the client hangs up.
func ServeConn(conn io.ReadWriteCloser) { rpc.ServeConn(conn) }

// ServeCodec is like [ServeConn] with the given codec.
func ServeCodec(codec ServerCodec) { rpc.ServeCodec(codec) }

// ServeRequest serves one request synchronously and leaves the codec open.
func ServeRequest(codec ServerCodec) error { return rpc.ServeRequest(codec) }

// HandleHTTP registers the [DefaultServer] on [DefaultRPCPath] and its debug page
// on [DefaultDebugPath] of [http.DefaultServeMux].
func HandleHTTP() { rpc.HandleHTTP() }

var _ http.Handler = (*Server)(nil)
