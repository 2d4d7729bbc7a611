// Package transport is one client connection: requests and replies over any
// rpc.ClientCodec, as net/rpc's Client has them.
//
// It guarantees:
//   - An exchange ends once, with one [Outcome]: its cause, its error, and whether its
//     server can have seen it. Nothing derives the outcome again.
//   - When Do or Start returns, the request has been encoded and its arguments are
//     the caller's again, except for a codec that the user gave, which may block.
//   - The end of a connection ends its exchanges directly, whatever the codec and the
//     connection do.
//   - What an exchange that was given up leaves behind holds neither arguments nor reply.
//
// # The reader
//
// A connection has one read token. Its holder reads the replies of all exchanges:
//
//	state                                  holder
//	several exchanges in flight,           the reader goroutine; it keeps the token until
//	or one without a caller that waits     calls come one by one, or Tick finds it idle
//	one, whose caller waits in Do          the caller, if the last calls came one by one, too
//	none                                   none: Check peeks at the socket before the next
//	the connection cannot be peeked at     the reader goroutine, always
//
// So a caller whose last eight calls were alone on the connection reads its own reply, and
// no other thread has to be woken; with a context, only if the connection was not given. A caller that
// may leave reads ahead into the codec's buffer only (codec.Prefetcher): whenever it leaves,
// the next reader finds what has come.
//
// # States of an exchange
//
//	from      to         by
//	pending   answered   the reader, with the reply in hand
//	pending   ended      a caller that leaves, a deadline, the end of the connection, or
//	                     the writer, if the codec refuses the request
//
// # States of a connection
//
//	from      to         by
//	open      retiring   Retire: it takes no further exchanges
//	open      closed     Fail
//	retiring  closed     Fail, or the end of the last exchange
//
// # Numbers of requests
//
// Both ends of a connection count the requests that are written, and notifications. A request
// that the server is to remember carries its number; if its answer is lost with the connection,
// [Outcome].Call has it, and the server can be asked over another connection.
//
// The package imports no breaker, balancer, detector, server or Client. It reports to an
// [Observer].
package transport
