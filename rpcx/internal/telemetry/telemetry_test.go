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
		{&breaker.OpenError{}, "breaker_open"},
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
		require.Equal(t, telemetry.Key{Method: telemetry.Other, Class: telemetry.Other}, s.Get(telemetry.Key{Method: "7", Class: "-4711"}))
	}
	require.EqualValues(t, 1002, made.Load())
	k := telemetry.Key{Method: "7"}
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Get(k) }))
}
