package rpcx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// Parrot returns what it is given.
type Parrot struct{}

func (Parrot) Int(n int, reply *int) error { *reply = n; return nil }

// parrot serves Parrot in JSON, and returns a connection to it.
func parrot(t *testing.T, serve func(*rpc.Server, io.ReadWriteCloser)) io.ReadWriteCloser {
	t.Helper()
	server := rpc.NewServer()
	require.NoError(t, server.Register(Parrot{}))
	near, far := net.Pipe()
	go serve(server, far)
	return near
}

func parrotJSON(s *rpc.Server, conn io.ReadWriteCloser) { s.ServeCodec(stdjson.NewServerCodec(conn)) }

// picky is a codec of somebody else's that does not take what is negative: it may
// have written some of the request by then.
type picky struct {
	rpc.ClientCodec
	conn   io.Writer
	before string // what it writes before it refuses
}

var errPicky = errors.New("a negative number")

func (p *picky) WriteRequest(r *rpc.Request, args any) error {
	switch n := args.(type) {
	case *int:
		_ = *n // as generated code does
	case int:
		if n < 0 {
			io.WriteString(p.conn, p.before)
			return errPicky
		}
	}
	return p.ClientCodec.WriteRequest(r, args)
}

// refusals are arguments that a codec of somebody else's does not take, though the
// next one is fine.
var refusals = map[string]struct {
	args any
	want string
}{
	"it cannot be encoded":          {make(chan int), "json: unsupported type: chan int"},
	"the codec does not like it":    {-1, "a negative number"},
	"the codec panics on a nil one": {(*int)(nil), "the codec panicked"},
}

// With net/rpc's JSON codec, one argument that cannot be encoded ended the client for
// ever; net/rpc's client lives on.
func TestForeignCodecRefusesOneCallOnly(t *testing.T) {
	foreign := func(conn io.ReadWriteCloser) rpc.ClientCodec {
		return &picky{ClientCodec: stdjson.NewClientCodec(conn), conn: conn}
	}
	for name, client := range map[string]func(io.ReadWriteCloser) *rpcx.Client{
		"NewClientWithCodec": func(conn io.ReadWriteCloser) *rpcx.Client { return rpcx.NewClientWithCodec(foreign(conn)) },
		"Dialer.Codec":       func(conn io.ReadWriteCloser) *rpcx.Client { return newClient(t, rpcx.Dialer{Codec: foreign}, conn) },
	} {
		for what, r := range refusals {
			t.Run(name+"/"+what, func(t *testing.T) {
				leak.Check(t)
				c := client(parrot(t, parrotJSON))
				defer c.Close()
				for range 3 {
					for _, call := range []func() error{
						func() error { return c.CallContext(t.Context(), "Parrot.Int", r.args, new(int)) },
						func() error { return c.CallContext(t.Context(), "Parrot.Int", r.args, new(int)) },
						func() error { return (<-c.Go("Parrot.Int", r.args, new(int), nil).Done).Error },
					} {
						err := call()
						require.ErrorContains(t, err, r.want)
						if name == "Dialer.Codec" && errors.As(err, new(*rpcx.CallError)) { // where the bytes are seen
							require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
						}
						var reply int
						require.NoError(t, c.Call("Parrot.Int", 7, &reply))
						require.Equal(t, 7, reply)
					}
				}
				require.EqualValues(t, 1, c.Stats().Endpoints[0].Conns)
			})
		}
	}
}

// Of a stream that holds a part of a request the rest cannot be trusted.
func TestHalfARequestEndsTheConnection(t *testing.T) {
	leak.Check(t)
	half := func(conn io.ReadWriteCloser) rpc.ClientCodec {
		return &picky{ClientCodec: stdjson.NewClientCodec(conn), conn: conn, before: `{"method":"Parrot.Int","params":[`}
	}
	c := newClient(t, rpcx.Dialer{Codec: half}, parrot(t, parrotJSON))
	defer c.Close()
	require.NoError(t, c.Call("Parrot.Int", 7, new(int)))
	require.ErrorIs(t, c.Call("Parrot.Int", -1, new(int)), errPicky)
	require.Equal(t, rpcx.ErrShutdown, c.Call("Parrot.Int", 7, new(int)))
}

// What a codec of this module refuses is one call's as well, whatever else the codec
// writes meanwhile.
func TestRefusalBesideANotification(t *testing.T) {
	leak.Check(t)
	var notifier codec.Notifier
	c := newClient(t, rpcx.Dialer{Codec: func(conn io.ReadWriteCloser) rpc.ClientCodec {
		c := codec.NewJSON2Client(conn)
		notifier = c.(codec.Notifier)
		return c
	}}, parrot(t, func(s *rpc.Server, conn io.ReadWriteCloser) { s.ServeCodec(codec.NewJSON2Server(conn)) }))
	defer c.Close()
	for range 100 {
		go notifier.Notify("Parrot.Int", 1)
		require.Error(t, c.Call("Parrot.Int", make(chan int), new(int)))
	}
	require.NoError(t, c.Call("Parrot.Int", 7, new(int)))
}

// A call that may leave is written in a goroutine of its own over a codec that may
// block: its answer came to a channel that its caller did not know yet.
func TestCallContextOverACodecIsAnswered(t *testing.T) {
	leak.Check(t)
	c := rpcx.NewClientWithCodec(stdjson.NewClientCodec(parrot(t, parrotJSON)))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for n := range 100 {
		var reply int
		require.NoError(t, c.CallContext(ctx, "Parrot.Int", n, &reply))
		require.Equal(t, n, reply)
	}
}
