package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"strings"
	"syscall"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// A Class is what a caller learned of a call.
type Class struct {
	Sent string // "no", "maybe", "yes", or "" where the client does not say
	Kind string
}

// String returns both in a few words.
func (c Class) String() string {
	if c.Sent == "" {
		return c.Kind
	}
	return c.Kind + ", sent: " + c.Sent
}

// The kinds of the classes that the checks know.
const (
	kindDone    = "done"
	kindRefused = "the method's error"
	kindWrong   = "wrong answer"
	kindUnclear = "unclear"
)

var errWrong = errors.New("the reply is another call's")

// classOf sorts an error. What begins with kindUnclear is an error that no caller
// could make anything of.
func classOf(err error) Class {
	var answer rpc.ServerError
	switch {
	case err == nil:
		return Class{Kind: kindDone}
	case errors.Is(err, errWrong):
		return Class{Kind: kindWrong}
	case errors.As(err, &answer) && answer.Error() == errRefused.Error():
		return Class{"yes", kindRefused}
	case errors.As(err, &answer):
		return Class{Kind: "the server's error"}
	}
	c := Class{Kind: kindOf(err)}
	var ce *rpcx.CallError
	if errors.As(err, &ce) {
		c.Sent = ce.Sent.String()
		if ce.Recall != rpcx.NotRecalled {
			c.Kind += " (" + ce.Recall.String() + ")"
		}
	}
	return c
}

func kindOf(err error) string {
	var (
		frame  *codec.FrameError
		decode *codec.DecodeError
		encode *codec.EncodeError
		op     *net.OpError
	)
	switch {
	case err.Error() == "":
		return kindUnclear
	case errors.Is(err, rpcx.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, rpcx.ErrUnresponsive):
		return "unresponsive"
	case errors.Is(err, rpc.ErrShutdown):
		return "shut down"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errImpatient):
		return "deadline"
	case errors.As(err, &op) && op.Op == "dial":
		return "dial"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "connection reset"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "connection ended"
	case errors.As(err, &frame):
		return "oversized frame"
	case strings.Contains(err.Error(), "codec: malformed"): // it has no type, and its text says it
		return "malformed stream"
	case errors.As(err, &decode):
		return "undecodable reply"
	case errors.As(err, &encode):
		return "unencodable argument"
	case errors.As(err, &op):
		return "network"
	}
	return kindUnclear + ": " + err.Error()
}
