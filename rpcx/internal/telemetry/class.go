// Package telemetry is what the modules otelrpcx and promrpcx have in common: the
// classes of errors, and a map of series that costs a call nothing.
package telemetry

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// Other is the class of errors that have none of their own, and the method of those
// beyond the number that is kept apart, as in OpenTelemetry's conventions.
const Other = "_OTHER"

// serverError is the class of errors that a method has returned, unless they have a code.
const serverError = "server_error"

// Class returns what kind of error ended a call or an attempt, of a few words that
// fit a label; empty for nil.
func Class(err error) string {
	if err == nil { // of nearly every call
		return ""
	}
	if name := outermost(err); name != "" {
		return name
	}
	return byType(err)
}

// outermost returns the class of the outermost error that has one in classes: it is what ended
// the call, and wraps what led to that. So an endpoint whose dials time out is unavailable.
func outermost(err error) string {
	for _, c := range classes {
		if is(err, c.err) {
			return c.name
		}
	}
	switch e := err.(type) { //nolint:errorlint // it is unwrapped here
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return outermost(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if name := outermost(inner); name != "" {
				return name
			}
		}
	}
	return ""
}

// is is errors.Is without what err wraps.
func is(err, target error) bool {
	if err == target { //nolint:errorlint // without what it wraps
		return true
	}
	x, ok := err.(interface{ Is(error) bool }) //nolint:errorlint // the same
	return ok && x.Is(target)
}

// classes are in order: an error that is two of them is of the first.
var classes = []struct {
	err  error
	name string
}{
	{rpcx.ErrShutdown, "shutdown"},
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "deadline_exceeded"},
	{breaker.ErrThrottled, "throttled"},
	{rpcx.ErrOverloaded, "overloaded"},
	{rpcx.ErrUnavailable, "unavailable"},
	{breaker.ErrOpen, "breaker_open"},
	{rpcx.ErrUnresponsive, "unresponsive"},
	{rpcx.ErrPanicked, "panic"}, // on the server only
}

func byType(err error) string {
	var (
		server rpcx.ServerError
		object *codec.Error
		encode *codec.EncodeError
		decode *codec.DecodeError
		op     *net.OpError
	)
	switch {
	case errors.As(err, &object):
		return strconv.Itoa(object.Code)
	case errors.As(err, &server):
		return serverError
	case errors.As(err, &encode):
		return "encode_error"
	case errors.As(err, &decode):
		return "decode_error"
	case errors.As(err, &op) && strings.HasPrefix(op.Op, "dial"):
		return "dial_failed"
	case op != nil, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.ECONNRESET):
		return "connection_lost"
	}
	return Other
}
