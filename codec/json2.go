package codec

import (
	"io"
	"net/rpc"
)

// JSON2 makes codecs for JSON-RPC 2.0 over a stream: one object or array after
// the other, each with a newline behind it when sent, and with or without white
// space between them when received. The zero JSON2 is the default. For HTTP see
// the package jsonhttp.
//
// Source: https://www.jsonrpc.org/specification. Members that the specification
// does not know are ignored when received; none are sent, but for "meta" to a peer that
// understands it, if MetaClient or MetaServer is used.
type JSON2 struct {
	// MaxFrame is the largest message, be it a batch, in bytes. 0 means 64 MiB;
	// negative means no limit. A message beyond it is a *FrameError.
	MaxFrame int64

	// Wrap makes a client send the argument as the only element of an array, as
	// net/rpc/jsonrpc does. Without it, an argument that is a JSON object (a
	// struct, a map) goes as named parameters, an array (a slice) as positional
	// ones, null as none, and only anything else is wrapped. To tell [5] from a
	// wrapped 5, a space stands in front of the bracket that closes an array of one
	// element.
	Wrap bool

	// MaxBatch is the largest number of requests in a batch that a server
	// accepts: each may get a goroutine, and an answer longer than itself. 0
	// means 1024; negative means no limit. A longer batch is refused as a whole.
	MaxBatch int
}

// NewJSON2Client returns the default client codec for JSON-RPC 2.0:
// JSON2{}.NewClient. It fits wherever a func(io.ReadWriteCloser) rpc.ClientCodec
// is wanted.
func NewJSON2Client(conn io.ReadWriteCloser) rpc.ClientCodec { return JSON2{}.NewClient(conn) }

// NewClient returns a client codec over conn. One goroutine at a time may write
// requests, and another one read replies, as net/rpc's Client does. The codec
// implements ErrorReader, Notifier, Canceler and
// RefusalReader. Requests and notifications that the peer
// sends are ignored. Replies are dealt with as by JSON.NewClient.
func (j JSON2) NewClient(conn io.ReadWriteCloser) rpc.ClientCodec {
	c := newJSONClient(conn, maxFrame(j.MaxFrame), json2Knob)
	c.v2, c.wrap = true, j.Wrap
	return c
}

// NewJSON2Server returns the default server codec for JSON-RPC 2.0:
// JSON2{}.NewServer.
func NewJSON2Server(conn io.ReadWriteCloser) rpc.ServerCodec { return JSON2{}.NewServer(conn) }

// NewServer returns a server codec over conn, for rpc.ServeCodec. Methods are
// called "Service.Method", as net/rpc has it.
//
// Named parameters are decoded into the method's argument. So are positional
// ones if it is a slice or an array; if it is a struct, each goes into the next
// exported field, and there may be fewer; if it is anything else, there can be
// only one. If it takes any value (an interface, or a type with UnmarshalJSON), one
// parameter is the value, and several are an array; from a client of this package
// it arrives as it was sent. An array with the whole argument as its only element,
// which is what net/rpc/jsonrpc sends, is understood too, and always meant if that
// element is an object and the argument a struct. Without parameters the argument
// stays zero.
//
// A batch is answered with one array once all of it has been carried out, in no
// particular order. What is not JSON is answered with a parse error, and the stream
// ends behind it, because it may be another protocol, such as the HTTP that any web
// page can have a browser send: its body must not be taken for a request. Only
// behind a message with balanced brackets and no line break does reading go on.
// A version that is the number 2.0 is as good as the string. Replies that cannot be
// encoded and failed writes are dealt with as by JSON.NewServer. The
// codec implements Refuser.
func (j JSON2) NewServer(conn io.ReadWriteCloser) rpc.ServerCodec {
	s := newJSONServer(conn, maxFrame(j.MaxFrame), json2Knob)
	s.v2, s.most = true, j.MaxBatch
	if s.most == 0 {
		s.most = defaultMaxBatch
	}
	return s
}
