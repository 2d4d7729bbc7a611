package codec

import (
	"io"
	"net/rpc"
)

// JSON makes codecs for JSON-RPC 1.0 in the dialect of net/rpc/jsonrpc. They are
// compatible with its peers. The zero JSON is the default.
type JSON struct {
	// MaxFrame is the largest message in bytes. 0 means 64 MiB; negative means no
	// limit. The error for a larger message is a *FrameError.
	MaxFrame int64
}

// NewJSONClient returns the default client codec for JSON-RPC 1.0: JSON{}.NewClient.
func NewJSONClient(conn io.ReadWriteCloser) rpc.ClientCodec { return JSON{}.NewClient(conn) }

// NewClient returns a client codec over conn. One goroutine at a time may write requests,
// while another one reads replies. The codec implements ErrorReader, Notifier, Canceler
// and RefusalReader.
//
// The id of a reply may be the request's number or a string with it. For a reply
// without an id, the first matching row applies:
//
//	neither a result nor an error      ends the stream
//	a notification was sent before     ignored
//	no request is pending              ignored
//	a result                           ends the stream
//	an error, one request pending      the reply to that request
//	an error, several pending          ends the stream
//
// A second reply to a request is returned like any other; net/rpc's Client and package
// rpcx ignore it. If a reply has a result, an error member of false, 0 or "" is ignored.
func (j JSON) NewClient(conn io.ReadWriteCloser) rpc.ClientCodec {
	return newJSONClient(conn, maxFrame(j.MaxFrame), jsonLimitName)
}

// NewJSONServer returns the default server codec for JSON-RPC 1.0:
// JSON{}.NewServer.
func NewJSONServer(conn io.ReadWriteCloser) rpc.ServerCodec { return JSON{}.NewServer(conn) }

// NewServer returns a server codec over conn, for rpc.ServeCodec. If a reply cannot be
// encoded, or is larger than MaxFrame, an error is sent in its place, and WriteResponse
// returns that as an *EncodeError. A failed write closes conn, because net/rpc's server
// ignores the error. As in net/rpc/jsonrpc, an id may be any value, a notification (with the
// id null) gets a reply, and a syntax error ends the stream. The codec implements Refuser.
func (j JSON) NewServer(conn io.ReadWriteCloser) rpc.ServerCodec {
	return newJSONServer(conn, maxFrame(j.MaxFrame), jsonLimitName)
}

func notNull(value []byte) []byte {
	if string(value) == "null" {
		return nil
	}
	return value
}
