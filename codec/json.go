package codec

import (
	"io"
	"net/rpc"
)

// JSON makes codecs for JSON-RPC 1.0 as net/rpc/jsonrpc speaks it. A stock peer
// at the other end does not notice the difference. The zero JSON is the default.
type JSON struct {
	// MaxFrame is the largest message in bytes. 0 means 64 MiB; negative means
	// no limit. A message beyond it is a *FrameError.
	MaxFrame int64
}

// NewJSONClient returns the default client codec for JSON-RPC 1.0:
// JSON{}.NewClient. It fits wherever a func(io.ReadWriteCloser) rpc.ClientCodec
// is wanted.
func NewJSONClient(conn io.ReadWriteCloser) rpc.ClientCodec { return JSON{}.NewClient(conn) }

// NewClient returns a client codec over conn. One goroutine at a time may write
// requests, and another one read replies, as net/rpc's Client does. The codec
// implements ErrorReader, Notifier, Canceler and RefusalReader.
//
// A reply has the id of a request, as a number or a string. An error without one,
// which says that the peer could not read a request, goes to the request that waits
// for its answer, if there is only one. With several the stream ends, since one of
// them would wait for ever; so it does with a result without an id. Where none waits,
// a reply without an id is ignored, and so is every one once a notification was sent,
// since it may be to that. A reply to a request that was answered before is
// returned like any other: net/rpc's Client, and package rpcx, ignore it.
//
// An error member of false, 0 or "" beside a result is none.
func (j JSON) NewClient(conn io.ReadWriteCloser) rpc.ClientCodec {
	return newJSONClient(conn, maxFrame(j.MaxFrame), jsonKnob)
}

// NewJSONServer returns the default server codec for JSON-RPC 1.0:
// JSON{}.NewServer.
func NewJSONServer(conn io.ReadWriteCloser) rpc.ServerCodec { return JSON{}.NewServer(conn) }

// NewServer returns a server codec over conn, for rpc.ServeCodec. A reply that
// cannot be encoded, or is larger than MaxFrame, becomes an error reply to that
// one call. A failed write closes conn, because net/rpc's server does not notice
// it and would read on. As in net/rpc/jsonrpc, an id may be any value, a
// notification, whose id is null, is answered, and what is not JSON ends the stream.
// The codec implements Refuser.
func (j JSON) NewServer(conn io.ReadWriteCloser) rpc.ServerCodec {
	return newJSONServer(conn, maxFrame(j.MaxFrame), jsonKnob)
}

func notNull(value []byte) []byte {
	if string(value) == "null" {
		return nil
	}
	return value
}
