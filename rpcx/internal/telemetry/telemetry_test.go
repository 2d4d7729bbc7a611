package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/telemetry"
)

func TestClass(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{rpcx.ErrShutdown, "shutdown"},
		{context.Canceled, "canceled"},
		{&rpcx.CallError{Err: context.DeadlineExceeded}, "deadline_exceeded"},
		{&rpcx.CallError{Err: errors.Join(context.DeadlineExceeded, io.ErrUnexpectedEOF)}, "deadline_exceeded"},
		{breaker.ErrThrottled, "throttled"},
		{rpcx.ErrUnavailable, "unavailable"},
		{fmt.Errorf("%w: MaxCalls (2) is reached", rpcx.ErrOverloaded), "overloaded"},
		{&breaker.OpenError{}, "breaker_open"},
		{&rpcx.CallError{Err: &breaker.OpenError{Cause: context.DeadlineExceeded}}, "breaker_open"}, // which opened for a dial's
		{rpcx.ErrUnresponsive, "unresponsive"},
		{rpc.ServerError("no"), "server_error"},
		{&codec.Error{Code: -32602}, "-32602"},
		{&codec.EncodeError{Err: io.EOF}, "encode_error"},
		{&codec.DecodeError{Err: io.EOF}, "decode_error"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "dial_failed"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "connection_lost"},
		{io.ErrUnexpectedEOF, "connection_lost"},
		{errors.New("what?"), telemetry.Other},
	} {
		require.Equal(t, c.want, telemetry.Class(c.err), "%v", c.err)
	}
}

// Calls to an endpoint whose dials time out fail fast, and not by a deadline.
func TestClassOfAnEndpointThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := rpcx.Dialer{Lazy: true, DialTimeout: time.Second}
		d.NetDial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
		}
		c, err := d.Dial("tcp", "a:1")
		require.NoError(t, err)
		defer c.Close()
		time.Sleep(time.Minute)
		err = c.CallContext(t.Context(), "A.B", 1, new(int))
		require.ErrorIs(t, err, context.DeadlineExceeded, "it is why the breaker is open")
		require.Equal(t, "unavailable", telemetry.Class(err))

		ctx, cancel := context.WithTimeout(rpcx.WithWaitForReady(t.Context()), time.Second)
		defer cancel()
		require.Equal(t, "deadline_exceeded", telemetry.Class(c.CallContext(ctx, "A.B", 1, new(int))))
	})
}

func TestSeriesIsBounded(t *testing.T) {
	var made atomic.Int64
	s := telemetry.NewSeries(func(k telemetry.Key) telemetry.Key { made.Add(1); return k })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				k := telemetry.Key{Method: fmt.Sprint(i)}
				assert.Equal(t, k, s.Get(k))
			}
		})
	}
	wg.Wait()
	require.Equal(t, telemetry.Key{Method: "7"}, s.Get(telemetry.Key{Method: "7"}))
	for range 2 {
		require.Equal(t, telemetry.Key{Method: telemetry.Other}, s.Get(telemetry.Key{Method: "one more"}))
		require.Equal(t, telemetry.Key{Method: telemetry.Other, Class: "server_error"}, s.Get(telemetry.Key{Method: "7", Class: "-4711"}), "no fault, as its code says")
		require.Equal(t, telemetry.Key{Method: telemetry.Other, Class: "unavailable"}, s.Get(telemetry.Key{Method: "7", Class: "unavailable"}))
	}
	require.EqualValues(t, 1003, made.Load())
	k := telemetry.Key{Method: "7"}
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Get(k) }))
}
