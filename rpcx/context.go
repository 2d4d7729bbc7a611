package rpcx

import (
	"context"

	internal "resilientrpc/rpcx/internal/server"
)

// ContextOf returns the context of the request that a method serves, which is the one that
// was given args, a pointer, as its argument:
//
//	func (s *Service) Find(args *Query, reply *Result) error {
//		ctx := rpcx.ContextOf(args)
//		…
//	}
//
// The context ends when nobody waits for the reply any more, and in any case when the method
// returns. Its deadline is the caller's, and [context.Cause] says why else it has ended: the
// caller has left, its connection is lost, or it still ran ServeConfig.StopTimeout after the
// serving was to stop. It takes a Client of this package to send the deadline, and to
// say that a caller has left; with other clients it is the loss of the connection that counts.
//
// A call that the method makes with the context belongs to the same chain as its
// request. The hooks of ServeConfig.Trace may add to the context.
//
// ContextOf returns [context.Background] if args is not the argument of a method that runs in
// [Serve], and if its type is not a pointer, or a pointer to a type without a size, such as
// struct{}: then the argument does not tell one request from another. It also returns
// Background once the method has returned. It may be called several times, and concurrently.
func ContextOf(args any) context.Context { return internal.ContextOf(args) }
