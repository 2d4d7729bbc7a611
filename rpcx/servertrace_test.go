package rpcx_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/rpc"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// Traced is a service for the hooks of servers.
type Traced struct{ began chan struct{} }

// Value answers with what the hooks have put into the context.
func (*Traced) Value(q *Question, reply *string) error {
	*reply, _ = rpcx.ContextOf(q).Value(hookKey{}).(string)
	return nil
}

// Square has no argument that tells its request.
func (*Traced) Square(n int, reply *int) error {
	*reply = n * n
	return nil
}

// Fail implements a method.
func (*Traced) Fail(why string, _ *int) error { return errors.New(why) }

// Panic implements a method.
func (*Traced) Panic(why string, _ *int) error { panic(why) }

// Exit implements a method.
func (*Traced) Exit(string, *int) error {
	runtime.Goexit()
	return nil
}

// Wait ends with its context.
func (s *Traced) Wait(q *Question, _ *int) error {
	s.began <- struct{}{}
	ctx := rpcx.ContextOf(q)
	<-ctx.Done()
	return context.Cause(ctx)
}

type hookKey struct{}

// requests collects what hooks are called with.
type requests struct {
	done chan rpcx.RequestInfo
	mu   sync.Mutex // protects following
	seen []rpcx.RequestInfo
}

func (r *requests) hooks() *rpcx.ServerTrace {
	return &rpcx.ServerTrace{
		RequestStart: func(ctx context.Context, i rpcx.RequestInfo) context.Context {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen = append(r.seen, i)
			before, _ := ctx.Value(hookKey{}).(string)
			return context.WithValue(ctx, hookKey{}, before+i.Method+";")
		},
		RequestDone: func(ctx context.Context, i rpcx.RequestInfo) {
			if v, _ := ctx.Value(hookKey{}).(string); !strings.Contains(v, i.Method) || ctx.Err() == nil {
				i.Method = "it is not the context that RequestStart has returned, and ended"
			}
			r.done <- i
		},
	}
}

// traced serves a Traced with hooks, and returns a client of it.
func traced(t *testing.T, cfg rpcx.ServeConfig) (*Traced, *rpcx.Client, func()) {
	t.Helper()
	leak.Check(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, s := rpc.NewServer(), &Traced{began: make(chan struct{}, 10)}
	require.NoError(t, server.RegisterName("Traced", s))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	go func() { ended <- cfg.Serve(ctx, lis, server, nil) }()
	c, err := rpcx.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	end := sync.OnceFunc(func() {
		c.Close() //nolint:errcheck // it may be closed
		stop()
		require.NoError(t, <-ended)
	})
	t.Cleanup(end)
	return s, c, end
}

func TestServerTrace(t *testing.T) {
	r := &requests{done: make(chan rpcx.RequestInfo, 10)}
	_, c, end := traced(t, rpcx.ServeConfig{Trace: r.hooks()})

	before := time.Now()
	var value string
	require.NoError(t, c.Call("Traced.Value", &Question{}, &value))
	require.Equal(t, "Traced.Value;", value, "ContextOf returns what the hook has made")
	i := <-r.done
	require.Equal(t, "Traced.Value", i.Method)
	require.Equal(t, "127.0.0.1", i.Remote.(*net.TCPAddr).IP.String())
	require.WithinRange(t, i.Started, before, time.Now())
	require.Positive(t, i.Duration)
	require.LessOrEqual(t, i.Duration, time.Since(before))
	require.NoError(t, i.Err)
	require.NoError(t, i.Canceled)

	var square int
	require.NoError(t, c.Call("Traced.Square", 3, &square))
	require.Equal(t, 9, square)
	require.Equal(t, "Traced.Square", (<-r.done).Method, "also if its arguments are not a pointer")

	require.EqualError(t, c.Call("Traced.Fail", "why not", new(int)), "why not")
	require.Equal(t, rpc.ServerError("why not"), (<-r.done).Err)

	for _, method := range []string{"Traced.Panic", "Traced.Exit"} {
		require.EqualError(t, c.Call(method, "", new(int)), rpcx.ErrPanicked.Error())
		i := <-r.done
		require.Equal(t, method, i.Method)
		require.Equal(t, rpcx.ErrPanicked, i.Err)
	}

	r.mu.Lock()
	r.seen = nil
	r.mu.Unlock()
	require.Error(t, c.Call("Traced.Missing", &Question{}, &value))
	require.Error(t, c.Call("Traced.Square", "not a number", &square))
	end()
	require.Empty(t, r.seen, "no method has run: %v", r.seen)
	require.Empty(t, r.done)
}

func TestServerTraceOfACanceledRequest(t *testing.T) {
	r := &requests{done: make(chan rpcx.RequestInfo, 10)}
	s, c, _ := traced(t, rpcx.ServeConfig{Trace: r.hooks()})
	require.NoError(t, c.Call("Traced.Value", &Question{}, new(string))) // now they know of each other
	<-r.done
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- c.CallContext(ctx, "Traced.Wait", &Question{}, new(int)) }()
	<-s.began
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	require.ErrorContains(t, (<-r.done).Canceled, "caller has canceled")

	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.CallContext(ctx, "Traced.Wait", &Question{}, new(int)), context.DeadlineExceeded)
	require.Error(t, (<-r.done).Canceled)
}

func TestServerTraceJoin(t *testing.T) {
	first, second := &requests{done: make(chan rpcx.RequestInfo, 1)}, &requests{done: make(chan rpcx.RequestInfo, 1)}
	var none *rpcx.ServerTrace
	hooks := none.Join(first.hooks()).Join(nil).Join(second.hooks())
	_, c, end := traced(t, rpcx.ServeConfig{Trace: hooks})
	var value string
	require.NoError(t, c.Call("Traced.Value", &Question{}, &value))
	require.Equal(t, "Traced.Value;Traced.Value;", value)
	end()
	require.Len(t, first.done, 1, "before Serve returns")
	require.Len(t, second.done, 1)
}

// A hook alone, of either kind.
func TestServerTraceWithOneHook(t *testing.T) {
	r := &requests{done: make(chan rpcx.RequestInfo, 1)}
	start := &rpcx.ServerTrace{RequestStart: r.hooks().RequestStart}
	_, c, _ := traced(t, rpcx.ServeConfig{Trace: start})
	var value string
	require.NoError(t, c.Call("Traced.Value", &Question{}, &value))
	require.Equal(t, "Traced.Value;", value)

	methods := make(chan string, 1)
	done := &rpcx.ServerTrace{RequestDone: func(_ context.Context, i rpcx.RequestInfo) { methods <- i.Method }}
	_, c, _ = traced(t, rpcx.ServeConfig{Trace: done})
	require.NoError(t, c.Call("Traced.Value", &Question{}, &value))
	require.Empty(t, value)
	require.Equal(t, "Traced.Value", <-methods)
}

func TestServerHookPanics(t *testing.T) {
	var text lockedText
	bad := &rpcx.ServerTrace{
		RequestStart: func(context.Context, rpcx.RequestInfo) context.Context { panic("start") },
		RequestDone:  func(context.Context, rpcx.RequestInfo) { panic("done") },
	}
	r := &requests{done: make(chan rpcx.RequestInfo, 10)}
	_, c, end := traced(t, rpcx.ServeConfig{
		Trace:  bad.Join(r.hooks()),
		Logger: slog.New(slog.NewTextHandler(&text, nil)),
	})
	for range 3 {
		require.NoError(t, c.Call("Traced.Value", &Question{}, new(string)))
		<-r.done
	}
	end()
	require.Len(t, r.seen, 3, "the other hooks have run")
	require.Equal(t, 2, strings.Count(text.String(), "a hook of rpcx panicked"), "%s", text.String())
}

// lockedText is a log.
type lockedText struct {
	mu   sync.Mutex // protects following
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
