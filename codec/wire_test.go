package codec_test

import (
	"bytes"
	"io"
	"net/rpc"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// exchange is a call and where its result goes.
type exchange struct {
	method string
	args   any
	reply  func() any
}

func to[T any](method string, args any) exchange {
	return exchange{method, args, func() any { return new(T) }}
}

// exchanges are calls with every kind of type; the later ones use types that the
// earlier ones have defined, alone and within others.
func exchanges() []exchange {
	plain := richValue().Plain
	return []exchange{
		to[int]("Echo.Int", 1),
		to[Plain]("Echo.Plain", plain),
		to[Plain]("Echo.Plain", Plain{}),
		to[Partial]("Echo.Plain", plain),
		to[Rich]("Echo.Rich", richValue()),
		to[Rich]("Echo.Rich", &Rich{Big: richValue().Big, Any: Plain{S: "dynamic"}}),
		to[Nothing]("Echo.Nothing", Nothing{}),
		to[Tree]("Echo.Tree", richValue().Tree),
		to[string]("Echo.String", "<&> \u2028 \xff"),
		to[string]("Echo.String", ""),
		to[[]byte]("Echo.Bytes", bytes.Repeat([]byte("0123456789"), 30)),
		to[[]string]("Echo.Strings", []string{"a", "", "c"}),
		to[map[string]int]("Echo.Map", map[string]int{"one": 1}),
		to[map[string]any]("Echo.Dyn", map[string]any{"k": []any{"v", 1.5}}),
		to[Opaque]("Echo.Opaque", Opaque{"o"}),
		to[time.Time]("Echo.Time", time.Unix(1e9, 0).UTC()),
		to[Loose]("Echo.Loose", Loose{Any: "loose"}),
		to[Plain]("Echo.Missing", plain),
		to[Plain]("Nobody.Home", 1),
		to[int]("Echo.Fail", "it <failed>"),
		to[int]("Echo.Int", "not an int"),
		to[int]("Echo.Int", 2),
	}
}

// run makes the calls one after the other and returns the results.
func run(t *testing.T, c *rpc.Client, calls []exchange) (replies []any, errs []error) {
	for _, x := range calls {
		reply := x.reply()
		errs = append(errs, c.Call(x.method, x.args, reply))
		replies = append(replies, reply)
	}
	return replies, errs
}

// TestWire compares the codecs of this package with those of the standard library: on either
// end, they send the same bytes, and each call has the same result.
func TestWire(t *testing.T) {
	for _, f := range formats {
		for name, pipe := range pipes {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				stock := pair(t, pipe, f.stockClient, f.stockServer)
				wantReplies, wantErrs := run(t, stock.Client, exchanges())
				require.NoError(t, wantErrs[0])

				for _, s := range []*session{
					pair(t, pipe, f.ourClient, f.stockServer),
					pair(t, pipe, f.stockClient, f.ourServer),
					pair(t, pipe, f.ourClient, f.ourServer),
				} {
					replies, errs := run(t, s.Client, exchanges())
					require.Equal(t, wantErrs, errs)
					require.Equal(t, wantReplies, replies)
					require.Equal(t, stock.wire.sent(), s.wire.sent(), "the client's bytes")
					require.Equal(t, stock.wire.received(), s.wire.received(), "the server's bytes")
				}
			})
		}
	}
}

// TestLargeFrames sends frames that are larger than every buffer.
func TestLargeFrames(t *testing.T) {
	for _, f := range formats {
		s := pair(t, tcpPipe, f.ourClient, f.ourServer)
		for _, size := range []int{100, 9_000, 300_000, 800_000, 10} {
			want, got := bytes.Repeat([]byte("0123456789"), size/10), []byte(nil)
			require.NoError(t, s.Call("Echo.Bytes", want, &got))
			require.True(t, bytes.Equal(want, got), "%s %d", f.name, size)
		}
	}
}

// TestOneWritePerFrame: each frame is one Write. A connection that coalesces frames needs
// this.
func TestOneWritePerFrame(t *testing.T) {
	for _, f := range formats {
		s := pair(t, tcpPipe, f.ourClient, f.ourServer)
		run(t, s.Client, exchanges())
		require.Equal(t, len(exchanges()), s.wire.writes, f.name)
		require.Equal(t, len(exchanges()), s.server.writes, f.name)
	}
}

func pair(t *testing.T, pipe pipeFunc, client func(io.ReadWriteCloser) *rpc.Client, serve func(*rpc.Server, io.ReadWriteCloser)) *session {
	a, b := pipe(t)
	return join(t, a, b, client, serve)
}

// TestConcurrentCalls has many calls in flight on one connection.
func TestConcurrentCalls(t *testing.T) {
	for _, f := range formats {
		s := pair(t, tcpPipe, f.ourClient, f.ourServer)
		done := make(chan *rpc.Call, 200)
		for i := range cap(done) {
			if i%2 == 0 {
				s.Go("Echo.Int", i, new(int), done)
			} else {
				s.Go("Echo.Plain", Plain{A: i, L: []string{"x"}}, new(Plain), done)
			}
		}
		for range cap(done) {
			call := <-done
			require.NoError(t, call.Error)
			require.Equal(t, reflect.ValueOf(call.Args).Interface(), reflect.ValueOf(call.Reply).Elem().Interface())
		}
	}
}
