package rpcx_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// holding is a codec whose server answers nothing until it is let.
type holding struct {
	held   atomic.Uint64 // requests not answered
	let    chan struct{}
	next   uint64
	closed chan struct{}
}

func newHolding() *holding {
	return &holding{let: make(chan struct{}), closed: make(chan struct{})}
}

func (h *holding) WriteRequest(*rpc.Request, any) error {
	h.held.Add(1)
	return nil
}

func (h *holding) ReadResponseHeader(r *rpc.Response) error {
	select {
	case <-h.let:
	case <-h.closed:
		return io.EOF
	}
	if h.next == h.held.Load() {
		<-h.closed
		return io.EOF
	}
	r.Seq = h.next
	h.next++
	return nil
}

func (h *holding) ReadResponseBody(reply any) error {
	if n, ok := reply.(*int); ok {
		*n = 42
	}
	return nil
}

func (h *holding) Close() error {
	close(h.closed)
	return nil
}

func (h *holding) WholeFrames() {}

type goer interface {
	Go(serviceMethod string, args, reply any, done chan *rpcx.Call) *rpcx.Call
	Close() error
}

// outstanding makes n calls at once that nobody answers for the time being, and
// returns the memory and the goroutines that each of them costs. The calls' done
// channel, arguments and replies are the caller's and not counted.
func outstanding(t testing.TB, n int, dial func(*holding) (goer, error)) (bytes, goroutines float64) {
	measure := func() (uint64, int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse, runtime.NumGoroutine()
	}
	server := newHolding()
	client, err := dial(server)
	require.NoError(t, err)
	done := make(chan *rpcx.Call, n)
	replies := make([]int, n)
	beforeBytes, before := measure()
	for i := range n {
		client.Go("Service.Method", 1, &replies[i], done)
	}
	require.EqualValues(t, n, server.held.Load())
	afterBytes, after := measure()
	close(server.let)
	for range n {
		require.NoError(t, (<-done).Error)
	}
	for i := range n {
		require.Equal(t, 42, replies[i])
	}
	require.NoError(t, client.Close())
	return float64(int64(afterBytes)-int64(beforeBytes)) / float64(n), float64(after-before) / float64(n)
}

func dialHolding(timeout time.Duration) func(*holding) (goer, error) {
	return func(h *holding) (goer, error) {
		d := rpcx.Dialer{
			Heartbeat:   -1,
			CallTimeout: timeout,
			Codec:       func(io.ReadWriteCloser) rpc.ClientCodec { return h },
			NetDial: func(context.Context, string, string) (net.Conn, error) {
				near, _ := net.Pipe()
				return near, nil
			},
		}
		return d.Dial("tcp", "a:1")
	}
}

func TestGoTakesNoGoroutine(t *testing.T) {
	leak.Check(t)
	for _, timeout := range []time.Duration{0, time.Hour} {
		bytes, goroutines := outstanding(t, 3_000, dialHolding(timeout))
		t.Logf("%.0f bytes a call", bytes)
		require.LessOrEqual(t, goroutines, 0., "of an earlier test, some may end meanwhile")
	}
}

var outstandingCalls = flag.Int("outstanding", 100_000, "calls at once in BenchmarkOutstanding")

// BenchmarkOutstanding reports what a call costs that Go has made and nobody has
// answered yet, beside net/rpc's.
func BenchmarkOutstanding(b *testing.B) {
	for _, c := range []struct {
		name string
		dial func(*holding) (goer, error)
	}{
		{"netrpc", func(h *holding) (goer, error) { return rpc.NewClientWithCodec(h), nil }},
		{"rpcx", dialHolding(0)},
		{"rpcx/CallTimeout", dialHolding(time.Hour)},
	} {
		b.Run(fmt.Sprintf("%s/calls=%d", c.name, *outstandingCalls), func(b *testing.B) {
			for b.Loop() {
				bytes, goroutines := outstanding(b, *outstandingCalls, c.dial)
				b.ReportMetric(bytes, "B/call")
				b.ReportMetric(goroutines, "goroutines/call")
			}
		})
	}
}
