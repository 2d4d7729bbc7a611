// Package codec has client and server codecs for the wire formats of net/rpc (gob) and
// net/rpc/jsonrpc (JSON-RPC 1.0), byte for byte, and for JSON-RPC 2.0. Unlike with the
// standard library's codecs, one bad value fails one call and not the connection.
//
// [Gob], [JSON] and [JSON2] make the codecs; their zero values are the defaults. Pass a
// client codec to rpc.NewClientWithCodec or set it in rpcx.Dialer, and pass a server
// codec to rpc.ServeCodec. They are compatible with standard library peers. Package
// jsonhttp carries JSON-RPC 2.0 over HTTP.
//
// All codecs have these properties. A frame is a request, a reply, or a batch.
//
//   - A frame is encoded in memory and written by exactly one Write. If it cannot be
//     encoded, nothing is written: a request fails with an *EncodeError, and in place of
//     a reply the server sends an error.
//   - A frame is received whole before it is decoded. After the header has been read,
//     reading the body does not wait for the network. See WholeFrames.
//   - If a body was received whole but cannot be decoded, the error is a *DecodeError,
//     and the next frame can be read. A server sends it as the reply. An *ExchangeError
//     ends one call. Any other error of a read method ends the stream.
//   - If a JSON reply has a syntax error (NaN, 007, a raw control character, a path with
//     single backslashes, too deep a nesting), but its id and its end are certain, its
//     call gets a *DecodeError that wraps json's *SyntaxError.
//   - UnmarshalJSON, UnmarshalText and GobDecode methods may keep the bytes passed to
//     them: no later message changes them.
//   - A frame has at most MaxFrame bytes (64 MiB by default). Memory is allocated as
//     bytes arrive, not by a length prefix. The name of a method is cut at 4 KiB, so a
//     longer name is not found.
//   - No input makes a codec panic. A panic in an encoder or decoder of the caller's
//     types becomes an error.
//   - No goroutine is started.
//
// One goroutine may read while others write. Requests may be written by one goroutine at
// a time, as net/rpc's Client does, and replies and notifications by several. To write
// several frames by one system call is up to the connection; package rpcx does it.
//
// net/rpc's Client ends the connection at any error of ReadResponseBody, even a
// *DecodeError. To avoid this, wrap the codec and return nil for a *DecodeError. Package
// rpcx does so.
//
// # Metadata
//
// A request can carry a deadline, a retry flag, a trace and the number of a call, and a
// reply the server's load and clock: see [MetaClient] and [MetaServer]. Package rpcx uses
// them. Metadata are sent only if both ends use them, except by gob, until the first reply.
// Other peers ignore them.
//
//	                     gob                               JSON
//	in requests to       any server, until its first       a server that has announced
//	                     reply shows that it is a stock    support in its reply to a ping
//	                     server
//	in replies to        a client whose request header     a request with metadata
//	                     type has metadata
//	per connection       67 bytes more of type definition  0
//	                     from the client, 34 from the
//	                     server
//	with a deadline      at most 9 bytes, usually 6 or 7   27 to 31
//	with a trace         27, and the tracestate            81
//	without metadata     0                                 0
//
// All metadata are bounded (a tracestate to 512 bytes). Malformed and unknown ones are
// ignored.
//
// # Limits
//
// MaxFrame limits the bytes of a frame. The memory for a decoded value depends on the
// frame and on the caller's type: an element of one byte on the wire takes the size of
// its type. Package gob allocates a map by its announced size, before its entries
// (golang/go#79539); this package checks the number of entries first. For a slice,
// package gob allocates at most 10 MiB before its elements arrive. The memory that
// GobDecode and UnmarshalJSON methods allocate is not limited.
//
// While a connection waits for its next message, it keeps buffers of at most 256 KiB, or
// of at most 8 MiB if one of the last 16 frames has needed them. The exception is a gob
// encoder that has sent the value of an interface: it keeps a buffer for the largest frame
// that it has sent.
//
// A gob peer may define 65,536 types with 4 MiB of definitions per connection, and a
// value may be nested 100,000 levels deep. Do not pass cyclic values to an encoder:
// encoding/gob recurses without end and the program crashes.
package codec
