// Package codec speaks the wire formats of net/rpc and net/rpc/jsonrpc, byte
// for byte, and confines what those codecs let spread: one bad value fails one
// call, not the connection.
//
// The contract of every client codec of the package:
//
//   - A request is encoded in memory and leaves in exactly one Write of one
//     whole frame, or, if it cannot be encoded, not at all (*EncodeError).
//   - A reply is received whole before any of it is decoded: once
//     ReadResponseHeader has returned, ReadResponseBody does not touch the
//     network. See WholeFrames.
//   - A reply that was received whole and cannot be decoded is a *DecodeError;
//     the stream is in step and the next reply can be read. Every other error
//     of a read method ends the stream.
//   - A frame is at most MaxFrame bytes long (64 MiB unless set). Memory is
//     taken as bytes arrive, never because a length prefix promises them.
//   - No input from the wire makes a codec panic.
//
// net/rpc's own Client ends a connection at any error of ReadResponseBody, a
// *DecodeError too; a caller that wants it confined wraps the codec and
// swallows it.
//
// # What is bounded
//
// A frame is bounded in bytes. What a value of it may occupy once decoded is
// bounded by the frame and by the caller's own type: an element that takes one
// byte on the wire takes what the type says in memory. Gob's known exception,
// a map whose announced size is allocated before its entries are seen
// (golang/go#79539), is closed: such a value is walked before it is decoded.
// Methods of the caller's types (GobDecode, UnmarshalJSON) are their own.
package codec
