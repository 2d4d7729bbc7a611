// Package codec speaks the wire formats of net/rpc and net/rpc/jsonrpc, byte
// for byte, and JSON-RPC 2.0, for clients and for servers. It confines what the
// standard library's codecs let spread: one bad value fails one call, not the
// connection.
//
// [Gob], [JSON] and [JSON2] make the codecs; their zero values are the defaults.
// A client codec goes to rpc.NewClientWithCodec or into rpcx.Dialer, a server
// codec to rpc.ServeCodec. A stock peer at the other end does not notice the
// difference. The package jsonhttp carries JSON-RPC 2.0 over HTTP.
//
// The contract of every codec of the package:
//
//   - A frame (a request, a reply, a batch of replies) is encoded in memory and
//     leaves in exactly one Write. If it cannot be encoded, nothing of it leaves:
//     a request fails with an *EncodeError, and in place of a reply the client
//     is sent an error.
//   - A frame is received whole before any of it is decoded: once the header has
//     been read, reading the body does not touch the network. See WholeFrames.
//   - A body that was received whole and cannot be decoded is a *DecodeError;
//     the stream is in step and the next frame can be read. A server answers the
//     request with it. An *ExchangeError of the connection ends one call. Every other
//     error of a read method ends the stream.
//   - A JSON reply that is not JSON (NaN, 007, a raw control character, a path with
//     single backslashes, too deep a nesting) is a *DecodeError of its call, with
//     json's *SyntaxError in it, if its id and its end can be told for certain.
//   - A decoder of the caller's own type (UnmarshalJSON, UnmarshalText, GobDecode)
//     may keep the bytes that it is given: no later message changes them.
//   - A frame is at most MaxFrame bytes long (64 MiB unless set). Memory is
//     taken as bytes arrive, never because a length prefix promises them. The name
//     of a method is cut at 4 KiB, so that a longer one is not found.
//   - No input from the wire makes a codec panic, and neither do the encoders
//     and decoders of the caller's own types: their panics are errors.
//   - No goroutine is started.
//
// One goroutine may read while others write. Requests may be written by one
// goroutine at a time, as net/rpc's Client does; replies, and notifications, by
// any. To gather the frames of several goroutines into one system call is the
// connection's business: see package rpcx.
//
// net/rpc's own Client ends a connection at any error of ReadResponseBody, a
// *DecodeError too; a caller that wants it confined wraps the codec and
// swallows it, as package rpcx does.
//
// # Metadata
//
// A request can carry a deadline, a mark of retries, a trace and the number of a call, and
// a reply the server's load and time: see [MetaClient] and [MetaServer], which package
// rpcx uses. Nothing of it is on the wire unless both are asked for, and a peer that does
// not understand it does not notice:
//
//	                     gob                               JSON
//	goes to              any server, until its first       a server that has announced in
//	                     reply is a stock server's         an answer to a ping that it
//	                                                       understands it
//	comes back to        a client whose type of headers    a request that had metadata
//	                     declares it
//	once a connection    67 bytes more of type definition  0
//	                     from the client, 34 from the
//	                     server
//	with a deadline      at most 9 bytes, usually 6 or 7   31
//	with a trace         27, and the tracestate            81
//	without metadata     0                                 0
//
// Each metadatum is bounded (a tracestate to 512 bytes), and one that is malformed is left
// out. Fields and members that are not known are skipped.
//
// # What is bounded
//
// A frame is bounded in bytes. What a value of it may occupy once decoded is
// bounded by the frame and by the caller's own type: an element that takes one
// byte on the wire takes what the type says in memory. Gob's known exception,
// a map whose announced size is allocated before its entries are seen
// (golang/go#79539), is closed: such a value is walked before it is decoded.
// For a slice package gob takes at most 10 MiB before its elements are seen.
// Methods of the caller's types (GobDecode, UnmarshalJSON) are their own.
//
// A connection that waits for its next message keeps buffers of at most 256 KiB for
// good, and of at most 8 MiB while one of the last 16 frames has made use of them,
// however large a frame or an error's text has been. The exception is
// gob's Encoder once it has sent what an interface holds: it keeps room for the largest
// frame of its life.
//
// The definitions of types that a gob peer may send are limited to 65,536, and
// to 4 MiB, a connection; the depth of a value is limited to 100,000. A cyclic
// value given to an encoder is not caught: encoding/gob recurses until the
// program dies of it.
package codec
