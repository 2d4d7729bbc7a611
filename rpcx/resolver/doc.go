// Package resolver finds the endpoints of a service and follows their changes.
//
// A [Resolver] is the value of rpcx.Dialer's field Resolver. [Static], [DNS], [SRV] and
// [File] are built in; rpcx.Dial takes the last three as URLs. Any other source needs one
// method, Watch.
//
// The built-in resolvers guarantee:
//
//   - Each set that they deliver is complete. A set is delivered when it has changed, or
//     when a failure has ended; an error is delivered when its text has changed. (Static
//     delivers its set once.)
//   - A failure removes no endpoints. A name that does not exist, or a file that is
//     missing, is an error and not an empty set: a zone that has lost its records looks
//     the same.
//   - If a part of a set cannot be determined, such as the IPv6 addresses of a host, its
//     endpoints stay in the set as they were.
//   - Watch ends when its context does, after all goroutines that it has started.
//   - Their methods may be called concurrently. If several calls of Watch run on one
//     resolver, Refresh reaches one of them.
//
// The package can be used without a client. Besides the standard library it imports only
// backoff/v4 and the packages rpcx/internal/dnsttl and rpcx/internal/hostport. It must not
// import rpcx, balancer, breaker, detector or codec. A test of rpcx enforces this.
package resolver
