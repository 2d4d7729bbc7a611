// Package jsonhttp carries JSON-RPC 2.0 over HTTP. A request is the body of a POST, and its
// reply is the body of the response.
//
// A [Conn] is the client side: a net.Conn for the codecs of [codec.JSON2]. For package rpcx,
// use [Dialer]:
//
//	d := rpcx.Dialer{
//		Codec:   codec.NewJSON2Client,
//		NetDial: jsonhttp.Dialer(jsonhttp.Config{URL: "https:///rpc"}),
//	}
//
// A [Handler] is the server side, for a net/rpc server.
//
// Calls are independent of each other: an HTTP request that fails, fails one call, and a
// call that is canceled (package rpcx does so when its context ends) cancels its HTTP
// request. If a call gets no reply, its method certainly has not run in two cases: the last
// byte of the request was not passed to the HTTP transport (for example without a
// connection), or the status says so; see [StatusError]. Otherwise it may have run.
//
// Unlike package codec, a Conn starts goroutines: one for each request in flight or
// waiting (Config.MaxInFlight). Write starts it. It ends with its request, and Close waits
// for it.
package jsonhttp
