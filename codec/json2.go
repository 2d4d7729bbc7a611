package codec

import (
	"io"
	"net/rpc"
)

// JSON2 makes codecs for JSON-RPC 2.0 (https://www.jsonrpc.org/specification) over a
// stream of objects and arrays. A newline is sent after each; between received ones,
// white space is optional. The zero JSON2 is the default. For HTTP see package jsonhttp.
//
// Unknown members of messages are ignored. The only member sent that is not in the
// specification is "meta", to a peer that supports it; see MetaClient.
type JSON2 struct {
	// MaxFrame is the largest message, or batch, in bytes. 0 means 64 MiB; negative
	// means no limit. The error for a larger message is a *FrameError.
	MaxFrame int64

	// Wrap makes a client send the argument as the only element of an array, as
	// net/rpc/jsonrpc does. Without Wrap, an argument that is a JSON object (a struct,
	// a map) is sent as named parameters, an array (a slice) as positional parameters,
	// null as none, and any other as the only element of an array. A space before the
	// closing bracket distinguishes the argument [5] from an argument 5 in an array.
	Wrap bool

	// MaxBatch is the largest number of requests in a batch that a server accepts. A
	// server may run each in a goroutine. 0 means 1024; negative means no limit. The
	// reply to a larger batch is one error.
	MaxBatch int
}

// NewJSON2Client returns the default client codec for JSON-RPC 2.0: JSON2{}.NewClient.
func NewJSON2Client(conn io.ReadWriteCloser) rpc.ClientCodec { return JSON2{}.NewClient(conn) }

// NewClient returns a client codec over conn. One goroutine at a time may write requests,
// while another one reads replies. The codec implements ErrorReader, Notifier, Canceler
// and RefusalReader. It ignores requests and notifications from the peer. The rules for
// the ids of replies are those of JSON.NewClient.
func (j JSON2) NewClient(conn io.ReadWriteCloser) rpc.ClientCodec {
	c := newJSONClient(conn, maxFrame(j.MaxFrame), json2LimitName)
	c.v2, c.wrap = true, j.Wrap
	return c
}

// NewJSON2Server returns the default server codec for JSON-RPC 2.0:
// JSON2{}.NewServer.
func NewJSON2Server(conn io.ReadWriteCloser) rpc.ServerCodec { return JSON2{}.NewServer(conn) }

// NewServer returns a server codec over conn, for rpc.ServeCodec. Methods have the names
// of net/rpc, "Service.Method". The codec implements Refuser.
//
// Named parameters are decoded into the method's argument, and without parameters the
// argument is zero. Positional parameters depend on the type of the argument:
//
//	slice, array         one parameter per element
//	struct               one parameter per exported field, in order; there may be fewer
//	interface, or a      one parameter: the value; several: an array of them; from a
//	type with            client of this package: the value that was sent
//	UnmarshalJSON
//	any other            one parameter: the value
//
// For net/rpc/jsonrpc's clients, a single parameter may also be the whole argument. If it
// is an object and the argument a struct, it always is.
//
// The reply to a batch is one array, in any order, after all its requests have ended. The
// version may be the number 2.0. Replies that cannot be encoded, and failed writes, are
// treated as by JSON.NewServer.
//
// The reply to a syntax error is a parse error. Then the stream ends, because the input
// may be another protocol: a web page can make a browser send HTTP with a request in its
// body. The stream continues only after a message without line breaks and with balanced
// brackets.
func (j JSON2) NewServer(conn io.ReadWriteCloser) rpc.ServerCodec {
	s := newJSONServer(conn, maxFrame(j.MaxFrame), json2LimitName)
	s.v2, s.maxBatch = true, j.MaxBatch
	if s.maxBatch == 0 {
		s.maxBatch = defaultMaxBatch
	}
	return s
}
