// Package callmeta passes the metadata of an incoming request, in the context of its
// method, to the calls that the method makes.
//
// It has no state, and imports only the standard library and package codec.
package callmeta

import (
	"context"
	"sync/atomic"

	"resilientrpc/codec"
)

// Incoming has the metadata of a request, except its deadline.
type Incoming struct {
	// Retry says that the request is a retry, or was made by a method that runs for one.
	Retry bool
	// Trace is the request's trace context; not valid if there is none.
	Trace codec.Trace
	// Spent is set when a call by the method fails after all its attempts. The request
	// must then not be retried. Nil if there is no request.
	Spent *atomic.Bool
}

type key struct{}

// NewContext returns a context with in, which must not be changed afterwards.
func NewContext(parent context.Context, in *Incoming) context.Context {
	return context.WithValue(parent, key{}, in)
}

// FromContext returns the Incoming of a context, or nil.
func FromContext(ctx context.Context) *Incoming {
	in, _ := ctx.Value(key{}).(*Incoming)
	return in
}
