package rpcx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// Chained is a service whose methods ask for the context of their requests.
type Chained struct {
	began, ended chan error
	behind       *rpcx.Client // nil for the last of a chain
	calls        atomic.Int64
	turn         *atomic.Int64 // counts calls of First and Cut
	lis          *cutter
}

func newChained(behind *rpcx.Client) *Chained {
	return &Chained{began: make(chan error, 100), ended: make(chan error, 100), behind: behind, turn: new(atomic.Int64)}
}

type Question struct{ Text string }

// Left answers with the time that is left, 0 without a deadline.
func (s *Chained) Left(q *Question, left *time.Duration) error {
	if d, ok := rpcx.ContextOf(q).Deadline(); ok {
		*left = time.Until(d)
	}
	return nil
}

// Wait ends with its context.
func (s *Chained) Wait(q *Question, _ *struct{}) error {
	ctx := rpcx.ContextOf(q)
	s.began <- nil
	<-ctx.Done()
	s.ended <- context.Cause(ctx)
	return context.Cause(ctx)
}

// Trace answers with the trace of the request.
func (s *Chained) Trace(q *Question, trace *codec.Trace) error {
	ctx := rpcx.ContextOf(q)
	if s.behind != nil {
		return s.behind.CallContext(ctx, "Chained.Trace", q, trace)
	}
	*trace, _ = rpcx.TraceOf(ctx)
	return nil
}

// Fail passes on what the service behind it answers, which is always an error.
func (s *Chained) Fail(q *Question, reply *string) error {
	s.calls.Add(1)
	if s.behind != nil {
		return s.behind.CallContext(rpcx.ContextOf(q), "Chained.Fail", q, reply)
	}
	return errors.New("out of order")
}

// serveChained serves a service with Serve, and returns its address.
func serveChained(t *testing.T, s *Chained, newCodec func(io.ReadWriteCloser) rpc.ServerCodec) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.lis = &cutter{Listener: lis}
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Chained", s))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	cfg := rpcx.ServeConfig{StopTimeout: time.Second}
	go func() { done <- cfg.Serve(ctx, s.lis, server, newCodec) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return lis.Addr().String()
}

// metaWires are the codecs that carry metadata.
var metaWires = map[string]struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	server func(io.ReadWriteCloser) rpc.ServerCodec
}{
	"gob":        {codec.NewGobClient, codec.NewGobServer},
	"JSON-RPC 1": {codec.NewJSONClient, codec.NewJSONServer},
	"JSON-RPC 2": {codec.JSON2{}.NewClient, codec.JSON2{}.NewServer},
}

// onWires runs f for each codec with a client of a Chained, once the two know of each other.
func onWires(t *testing.T, d rpcx.Dialer, f func(*testing.T, *Chained, *rpcx.Client)) {
	t.Helper()
	t.Parallel()
	for name, w := range metaWires {
		t.Run(name, func(t *testing.T) {
			s := newChained(nil)
			d.Codec = w.client
			c, err := d.Dial("tcp", serveChained(t, s, w.server))
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.Call("Chained.Left", &Question{}, new(time.Duration)))
			require.Eventually(t, func() bool { return c.Stats().Endpoints[0].MetaSupport == codec.MetaUnderstood },
				10*time.Second, time.Millisecond)
			f(t, s, c)
		})
	}
}

func TestDeadlineReachesTheMethod(t *testing.T) {
	onWires(t, rpcx.Dialer{}, func(t *testing.T, _ *Chained, c *rpcx.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var left time.Duration
		require.NoError(t, c.CallContext(ctx, "Chained.Left", &Question{}, &left))
		require.InDelta(t, 60, left.Seconds(), 1)
		require.NoError(t, c.CallContext(t.Context(), "Chained.Left", &Question{}, &left))
		require.Zero(t, left, "there is no deadline")
	})
}

func TestCallTimeoutReachesTheMethod(t *testing.T) {
	onWires(t, rpcx.Dialer{CallTimeout: time.Minute}, func(t *testing.T, _ *Chained, c *rpcx.Client) {
		var left time.Duration
		require.NoError(t, c.Call("Chained.Left", &Question{}, &left))
		require.InDelta(t, 60, left.Seconds(), 1)
		require.NoError(t, (<-c.Go("Chained.Left", &Question{}, &left, nil).Done).Error)
		require.InDelta(t, 60, left.Seconds(), 1)
	})
}

func TestMethodLearnsThatItsCallerHasLeft(t *testing.T) {
	onWires(t, rpcx.Dialer{}, func(t *testing.T, s *Chained, c *rpcx.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() { failed <- c.CallContext(ctx, "Chained.Wait", &Question{}, new(struct{})) }()
		<-s.began
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		select {
		case cause := <-s.ended:
			require.ErrorContains(t, cause, "canceled")
		case <-time.After(10 * time.Second):
			t.Fatal("the method does not learn it")
		}
		require.NoError(t, c.Call("Chained.Left", &Question{}, new(time.Duration)), "the connection goes on")
	})
}

func TestMethodEndsAtTheDeadline(t *testing.T) {
	onWires(t, rpcx.Dialer{}, func(t *testing.T, s *Chained, c *rpcx.Client) {
		for timeout := 50 * time.Millisecond; len(s.began) == 0; timeout *= 2 { // on a busy machine, it may pass before
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			err := c.CallContext(ctx, "Chained.Wait", &Question{}, new(struct{}))
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded, "which of the two clocks ends it is chance")
		}
		require.ErrorIs(t, <-s.ended, context.DeadlineExceeded)
	})
}

func TestMethodLearnsThatTheClientIsClosed(t *testing.T) {
	leak.Check(t)
	s := newChained(nil)
	c, err := rpcx.Dial("tcp", serveChained(t, s, nil))
	require.NoError(t, err)
	call := c.Go("Chained.Wait", &Question{}, new(struct{}), nil)
	<-s.began
	require.NoError(t, c.Close())
	require.ErrorContains(t, <-s.ended, "lost")
	<-call.Done
}

// First answers at once if another replica has been asked before, and otherwise ends with
// its context.
func (s *Chained) First(q *Question, _ *struct{}) error {
	if s.turn.Add(1) > 1 {
		return nil
	}
	return s.Wait(q, nil)
}

// The loser of a race is cut short, and its error counts for nothing.
func TestLoserOfAHedgeIsCanceled(t *testing.T) {
	leak.Check(t)
	s, other := newChained(nil), newChained(nil)
	other.turn, other.ended = s.turn, s.ended
	d := rpcx.Dialer{Hedge: &rpcx.Hedge{Delay: 20 * time.Millisecond, Budget: 1}, Methods: idempotent("*")}
	d.Retry.Budget = -1
	d.Classify = func(string, error) rpcx.Class { return rpcx.EndpointFailure }
	c, err := d.Dial("tcp", serveChained(t, s, nil), serveChained(t, other, nil))
	require.NoError(t, err)
	defer c.Close()
	require.Eventually(t, func() bool {
		c.Call("Chained.Left", &Question{}, new(time.Duration)) //nolint:errcheck // its connection counts
		for _, e := range c.Stats().Endpoints {
			if e.MetaSupport != codec.MetaUnderstood {
				return false
			}
		}
		return true
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Call("Chained.First", &Question{}, new(struct{})))
	require.ErrorContains(t, <-s.ended, "canceled")
	require.Eventually(t, func() bool {
		a, b := c.Stats().Endpoints[0], c.Stats().Endpoints[1]
		return a.InFlight+b.InFlight == 0
	}, 10*time.Second, time.Millisecond)
	for _, e := range c.Stats().Endpoints {
		require.Zero(t, e.Window.Failures, e.Address)
	}
}

func TestTraceGoesThroughAChain(t *testing.T) {
	t.Parallel()
	for name, w := range metaWires {
		t.Run(name, func(t *testing.T) {
			d := rpcx.Dialer{Codec: w.client}
			last, err := d.Dial("tcp", serveChained(t, newChained(nil), w.server))
			require.NoError(t, err)
			defer last.Close()
			first, err := d.Dial("tcp", serveChained(t, newChained(last), w.server))
			require.NoError(t, err)
			defer first.Close()
			sent := codec.Trace{TraceID: [16]byte{1, 15: 2}, SpanID: [8]byte{3, 7: 4}, Flags: 1, State: "vendor=x"}
			require.Eventually(t, func() bool {
				var got codec.Trace
				err := first.CallContext(rpcx.WithTrace(t.Context(), sent), "Chained.Trace", &Question{}, &got)
				return err == nil && got == sent
			}, 10*time.Second, 5*time.Millisecond)
			var got codec.Trace
			require.NoError(t, first.Call("Chained.Trace", &Question{}, &got))
			require.Zero(t, got)
		})
	}
}

// A request that repeats one whose connection was lost makes no retries behind the server.
func TestCallsOfARetryAreNotRepeated(t *testing.T) {
	leak.Check(t)
	d := rpcx.Dialer{Methods: idempotent("*"), Classify: func(string, error) rpcx.Class { return rpcx.TryElsewhere }}
	d.Retry.Budget = -1
	last := newChained(nil)
	toLast, err := d.Dial("tcp", serveChained(t, last, nil))
	require.NoError(t, err)
	defer toLast.Close()
	toFirst, err := d.Dial("tcp", serveChained(t, newChained(toLast), nil))
	require.NoError(t, err)
	defer toFirst.Close()
	require.Error(t, toFirst.CallContext(rpcx.AsRetry(t.Context()), "Chained.Fail", &Question{}, new(string)))
	require.Equal(t, int64(1), last.calls.Load())
}

// cutter is a listener whose connections can be closed.
type cutter struct {
	net.Listener
	mu    sync.Mutex // protects following
	conns []net.Conn
}

func (l *cutter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, c)
	}
	return c, err
}

func (l *cutter) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
}

// Cut loses the connection of the first call, and passes on later ones.
func (s *Chained) Cut(q *Question, reply *string) error {
	if s.turn.Add(1) == 1 {
		s.lis.cut()
		return errors.New("the connection is lost")
	}
	return s.Fail(q, reply)
}

// An attempt that repeats another one is a retry to the server, and so is what that calls.
func TestRepeatedAttemptIsMarked(t *testing.T) {
	leak.Check(t)
	d := rpcx.Dialer{Methods: idempotent("*"), Classify: func(string, error) rpcx.Class { return rpcx.TryElsewhere }}
	d.Retry.Budget = -1
	last := newChained(nil)
	toLast, err := d.Dial("tcp", serveChained(t, last, nil))
	require.NoError(t, err)
	defer toLast.Close()
	first := newChained(toLast)
	addr := serveChained(t, first, nil)
	d.Classify = nil
	toFirst, err := d.Dial("tcp", addr)
	require.NoError(t, err)
	defer toFirst.Close()
	require.Equal(t, rpc.ServerError("out of order"), toFirst.Call("Chained.Cut", &Question{}, new(string)))
	require.Equal(t, int64(2), first.turn.Load())
	require.Equal(t, int64(1), last.calls.Load(), "the second attempt is a retry")
}
