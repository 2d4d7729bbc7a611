// Package jsonhttp carries JSON-RPC 2.0 over HTTP: each request is POSTed, and its
// reply is the response's body.
//
// A [Conn] is the client's end. It is a connection like any other to the codec
// above it, [codec.JSON2]'s, and to package rpcx:
//
//	d := rpcx.Dialer{
//		Codec: codec.NewJSON2Client,
//		NetDial: func(_ context.Context, _, address string) (net.Conn, error) {
//			return jsonhttp.NewConn(jsonhttp.Config{URL: "https://" + address + "/rpc"})
//		},
//	}
//
// A [Handler] is the server's end, over net/rpc's server.
//
// Unlike package codec, a Conn starts goroutines, which is why it has a package
// of its own: net/http answers a request to the goroutine that made it, while
// net/rpc's Client sends the next request before the last one is answered. There
// is one goroutine for each request that waits; Write starts it, Close ends it
// and waits for it.
package jsonhttp
