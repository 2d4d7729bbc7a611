// Package jsonhttp carries JSON-RPC 2.0 over HTTP: each request is POSTed, and its
// reply is the response's body.
//
// A [Conn] is the client's end. It is a connection like any other to the codec
// above it, [codec.JSON2]'s, and to package rpcx, whose Dialer makes them with [Dialer]:
//
//	d := rpcx.Dialer{
//		Codec:   codec.NewJSON2Client,
//		NetDial: jsonhttp.Dialer(jsonhttp.Config{URL: "https:///rpc"}),
//	}
//
// A [Handler] is the server's end, over net/rpc's server.
//
// Each exchange stands by itself: one that fails costs its own call, and a call that is
// given up (package rpcx does so when its context ends) ends its HTTP request. Whether
// the method of a call without a reply may have run is known as exactly as HTTP allows: a
// request whose last byte was not handed to the transport (no connection, no TLS, no
// proxy, no place under Config.MaxInFlight) has not; and see [StatusError].
//
// Unlike package codec, a Conn starts goroutines, which is why it has a package
// of its own: net/http answers a request to the goroutine that made it, while
// net/rpc's Client sends the next request before the last one is answered. There
// is one goroutine for each request that waits, also for its place; Write starts it,
// Close ends it and waits for it.
package jsonhttp
