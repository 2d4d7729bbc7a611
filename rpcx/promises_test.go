package rpcx_test

import (
	"context"
	"io"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/subtest"
)

// Knowing is a service whose methods tell what they know of their callers.
type Knowing struct {
	began, release chan struct{}
	ended          chan error // why the context of Wait has ended; nil if it was released
}

// Known is what a request has told its method.
type Known struct{ Deadline, Trace bool }

// Tell implements a method.
func (*Knowing) Tell(q *Question, reply *Known) error {
	ctx := rpcx.ContextOf(q)
	_, reply.Deadline = ctx.Deadline()
	_, reply.Trace = rpcx.TraceOf(ctx)
	return nil
}

// Same implements a method, whose replies are all alike.
func (*Knowing) Same(_ *Question, reply *bool) error {
	*reply = true
	return nil
}

// Wait ends with its context, or when it is released.
func (k *Knowing) Wait(q *Question, _ *struct{}) error {
	ctx := rpcx.ContextOf(q)
	k.began <- struct{}{}
	select {
	case <-ctx.Done():
		k.ended <- context.Cause(ctx)
	case <-k.release:
		k.ended <- nil
	}
	return nil
}

// peers are a client and a server of either kind.
type peers struct{ json, ours, serve bool }

func (e peers) String() string {
	name := map[bool]string{false: "stock", true: "rpcx"}[e.ours] + " to " + map[bool]string{false: "stock", true: "Serve"}[e.serve]
	return name + map[bool]string{false: ", gob", true: ", JSON"}[e.json]
}

// start starts the server.
func (e peers) start(t *testing.T) (k *Knowing, addr string) {
	t.Helper()
	k = &Knowing{began: make(chan struct{}), release: make(chan struct{}), ended: make(chan error, 1)}
	server := rpc.NewServer()
	require.NoError(t, server.Register(k))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	newCodec := map[bool]func(io.ReadWriteCloser) rpc.ServerCodec{false: codec.NewGobServer, true: codec.NewJSONServer}[e.json]
	switch {
	case e.serve:
		serveOrderly(t, lis, server, newCodec)
	case e.json:
		serveStockJSON(t, lis, server)
	default:
		serveStock(t, lis, server)
	}
	return k, lis.Addr().String()
}

func serveStock(t *testing.T, lis net.Listener, server *rpc.Server) {
	go server.Accept(lis)
	t.Cleanup(func() { lis.Close() })
}

func serveStockJSON(t *testing.T, lis net.Listener, server *rpc.Server) {
	go func() {
		for conn, err := lis.Accept(); err == nil; conn, err = lis.Accept() {
			go server.ServeCodec(stdjson.NewServerCodec(conn))
		}
	}()
	t.Cleanup(func() { lis.Close() })
}

// stockClient is net/rpc's.
func (e peers) stockClient(t *testing.T, addr string) *rpc.Client {
	t.Helper()
	dial := rpc.Dial
	if e.json {
		dial = stdjson.Dial
	}
	c, err := dial("tcp", addr)
	require.NoError(t, err)
	return c
}

// ourClient knows what the server understands.
func (e peers) ourClient(t *testing.T, addr string) *rpcx.Client {
	t.Helper()
	var d rpcx.Dialer
	if e.json {
		d.Codec = codec.NewJSONClient
	}
	c, err := d.Dial("tcp", addr)
	require.NoError(t, err)
	stats := func() rpcx.EndpointStats { return c.Stats().Endpoints[0] }
	require.Eventually(t, func() bool {
		require.NoError(t, c.Call("Knowing.Tell", &Question{}, new(Known)))
		return stats().Pings != rpcx.PingsUnknown && (stats().MetaSupport == codec.MetaUnderstood) == e.serve
	}, 10*time.Second, 5*time.Millisecond)
	return c
}

// everyEnds runs f for each client and server, in each format.
func everyEnds(t *testing.T, f func(t *testing.T, e peers)) {
	var all subtest.Group
	defer all.Wait()
	for i := range 8 {
		e := peers{i&1 != 0, i&2 != 0, i&4 != 0}
		all.Run(t, e.String(), func(t *testing.T) {
			f(t, e)
		})
	}
}

// It takes a client and a server of this package for a method to learn the deadline and the
// trace, for a client to learn the load, and for a method to learn that its caller has left.
func TestWhatEachEndMustRun(t *testing.T) {
	t.Parallel()
	everyEnds(t, func(t *testing.T, e peers) {
		k, addr := e.start(t)
		if !e.ours {
			c := e.stockClient(t, addr)
			defer c.Close()
			var got Known
			require.NoError(t, c.Call("Knowing.Tell", &Question{}, &got))
			require.Zero(t, got)
			return
		}
		c := e.ourClient(t, addr)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		trace := rpcx.Trace{TraceID: [16]byte{1}, SpanID: [8]byte{1}}
		var got Known
		require.NoError(t, c.CallContext(rpcx.WithTrace(ctx, trace), "Knowing.Tell", &Question{}, &got))
		require.Equal(t, Known{e.serve, e.serve}, got)
		require.Equal(t, e.serve, c.Stats().Endpoints[0].ServerRunning >= 0)

		failed := make(chan error, 1)
		go func() { failed <- c.CallContext(ctx, "Knowing.Wait", &Question{}, new(struct{})) }()
		<-k.began
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		e.requireEnded(t, k)
	})
}

// A method with Serve learns that its connection is lost, whatever the client is.
func TestMethodLearnsThatItsConnectionIsLost(t *testing.T) {
	t.Parallel()
	everyEnds(t, func(t *testing.T, e peers) {
		k, addr := e.start(t)
		var c interface {
			Go(serviceMethod string, args, reply any, done chan *rpc.Call) *rpc.Call
			io.Closer
		} = e.stockClient(t, addr)
		if e.ours {
			require.NoError(t, c.Close())
			c = e.ourClient(t, addr)
		}
		call := c.Go("Knowing.Wait", &Question{}, new(struct{}), nil)
		<-k.began
		require.NoError(t, c.Close())
		<-call.Done
		e.requireEnded(t, k)
	})
}

// requireEnded waits for the end of the context of Wait, if the server is to tell it, and
// else has it go on all the while.
func (e peers) requireEnded(t *testing.T, k *Knowing) {
	t.Helper()
	var cause error
	if e.serve {
		select {
		case cause = <-k.ended:
		case <-time.After(10 * time.Second):
		}
		require.Error(t, cause)
		return
	}
	close(k.release)
	require.NoError(t, <-k.ended)
}
