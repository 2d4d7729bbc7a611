package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"resilientrpc/rpcx/internal/peerbench/calcpb"
	"resilientrpc/rpcx/internal/peerbench/calcpb/calcpbconnect"
)

// connectReplica is a client of connect-go for one replica. connect-go leaves
// connections to net/http, which makes them anew, and replicas and retries to its
// user: they are byHand.
type connectReplica struct {
	calcpbconnect.CalcClient
	transport *http.Transport
	patience  time.Duration
}

// plainReplies asks for none that are compressed, which is the default, for no other
// contender compresses.
var plainReplies = connect.WithAcceptCompression("gzip", nil, nil)

func dialConnect(addrs []string, o options) (client, error) {
	h := new(byHand)
	for _, a := range addrs {
		t := &http.Transport{
			DialContext: o.netDial,
			Protocols:   new(http.Protocols),
			HTTP2:       &http.HTTP2Config{SendPingTimeout: o.patience, PingTimeout: o.patience, WriteByteTimeout: o.patience},
		}
		t.Protocols.SetUnencryptedHTTP2(true)
		h.lines = append(h.lines, connectReplica{calcpbconnect.NewCalcClient(&http.Client{Transport: t}, "http://"+a, plainReplies), t, o.patience})
	}
	return connected(h)
}

func (c connectReplica) call(ctx context.Context, m method, in Message) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	out, err := c.send(ctx, m, connect.NewRequest(toProto(in)))
	if err == nil {
		return fromProto(out.Msg), nil
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		err = fmt.Errorf("%w: %w", errNotSent, err)
	case connect.CodeOf(err) == connect.CodeUnknown && connect.IsWireError(err):
		err = appError{err}
	}
	return Message{}, err
}

func (c connectReplica) send(ctx context.Context, m method, in *connect.Request[calcpb.Message]) (*connect.Response[calcpb.Message], error) {
	switch m {
	case echo:
		return c.Echo(ctx, in)
	case square:
		return c.Square(ctx, in)
	case deposit:
		return c.Deposit(ctx, in)
	}
	return nil, fmt.Errorf("no method %s", m)
}

// Close implements io.Closer.
func (c connectReplica) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}
