// Package callmeta says, in the context of a method, what the request that it serves says
// of its caller: so that the calls that the method makes belong to the same chain.
//
// It holds no state, and imports the standard library and package codec.
package callmeta

import (
	"context"
	"sync/atomic"

	"resilientrpc/codec"
)

// Incoming is what a request says of its caller, besides its deadline.
type Incoming struct {
	// Retry says that the request repeats another one, or is made on behalf of one that does.
	Retry bool
	// Trace is the trace that the request belongs to; invalid if to none.
	Trace codec.Trace
	// Spent is set by a call that the method has made in vain, with all the attempts that
	// it may have: the request is then not to be repeated. Nil if there is no request.
	Spent *atomic.Bool
}

type key struct{}

// NewContext returns a context with in.
func NewContext(parent context.Context, in *Incoming) context.Context {
	return context.WithValue(parent, key{}, in)
}

// FromContext returns what NewContext was given, or nil. It must not be changed.
func FromContext(ctx context.Context) *Incoming {
	in, _ := ctx.Value(key{}).(*Incoming)
	return in
}
