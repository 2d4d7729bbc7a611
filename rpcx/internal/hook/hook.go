// Package hook joins and guards the functions that a trace of a client or of a server
// consists of.
//
// A function that is made of nil ones is nil. Of those that are joined, the second one runs
// although the first one panics. A guarded one does not panic, and returns no nil context.
// The package imports internal/rescue and nothing else but the standard library.
package hook

import (
	"context"
	"log/slog"
	"sync"

	"resilientrpc/rpcx/internal/rescue"
)

// Join returns what calls f and then g.
func Join[T any](f, g func(T)) func(T) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(i T) {
		defer g(i)
		f(i)
	}
}

// JoinOfCall is Join for functions that get the context of a call.
func JoinOfCall[T any](f, g func(context.Context, T)) func(context.Context, T) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(ctx context.Context, i T) {
		defer g(ctx, i)
		f(ctx, i)
	}
}

// JoinStart is Join for functions that get a context and return one: the second one gets
// that which the first one returns.
func JoinStart[T any](f, g func(context.Context, T) context.Context) func(context.Context, T) context.Context {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(ctx context.Context, i T) (out context.Context) {
		out = ctx // unless f returns another
		defer func() { out = g(out, i) }()
		return f(ctx, i)
	}
}

// Guard returns what calls hook and does not panic. The first panic is logged, to log or,
// if that is nil, to slog's default.
func Guard[T any](log *slog.Logger, hook func(T)) func(T) {
	if hook == nil {
		return nil
	}
	told := new(sync.Once)
	return func(i T) {
		defer rescue.Stop(log, told, "a hook of rpcx")
		hook(i)
	}
}

// GuardOfCall is Guard for functions that get the context of a call.
func GuardOfCall[T any](log *slog.Logger, hook func(context.Context, T)) func(context.Context, T) {
	if hook == nil {
		return nil
	}
	told := new(sync.Once)
	return func(ctx context.Context, i T) {
		defer rescue.Stop(log, told, "a hook of rpcx")
		hook(ctx, i)
	}
}

// GuardStart is Guard for functions that get a context and return one: if they panic or
// return nil, that is the one that they got.
func GuardStart[T any](log *slog.Logger, hook func(context.Context, T) context.Context) func(context.Context, T) context.Context {
	if hook == nil {
		return nil
	}
	told := new(sync.Once)
	return func(ctx context.Context, i T) (out context.Context) {
		out = ctx // of a hook that panics
		defer rescue.Stop(log, told, "a hook of rpcx")
		if c := hook(ctx, i); c != nil {
			out = c
		}
		return out
	}
}
