package transport

import (
	"context"
	"io"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quitter is an argument whose encoding ends the goroutine, as t.FailNow does.
type quitter struct{}

func (quitter) GobEncode() ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}

func (q quitter) MarshalJSON() ([]byte, error) { return q.GobEncode() }

// Leaver is a reply whose decoding does.
type Leaver struct{}

// GobEncode implements gob.GobEncoder.
func (Leaver) GobEncode() ([]byte, error) { return []byte("0"), nil }

// MarshalJSON implements json.Marshaler.
func (l Leaver) MarshalJSON() ([]byte, error) { return l.GobEncode() }

// GobDecode implements gob.GobDecoder.
func (*Leaver) GobDecode([]byte) error {
	runtime.Goexit()
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Leaver) UnmarshalJSON(b []byte) error { return l.GobDecode(b) }

// Leave returns a Leaver after as many microseconds.
func (Echo) Leave(n int, _ *Leaver) error {
	time.Sleep(time.Duration(n) * time.Microsecond) // real sockets
	return nil
}

// exits runs f, which must end its goroutine.
func exits(t *testing.T, f func()) {
	t.Helper()
	returned, done := false, make(chan struct{})
	go func() {
		defer close(done)
		f()
		returned = true
	}()
	receive(t, done)
	require.False(t, returned, "it returned")
}

func receive[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	return got
}

// endOf is an owner.
type endOf chan Outcome

func (e endOf) Done(_ *Exchange, out Outcome) { e <- out }

// A marshaler that ends its goroutine costs its call alone. The connection takes no more
// requests, and those in flight get their answers.
func TestEncodingThatEndsItsGoroutine(t *testing.T) {
	t.Parallel() // it waits
	for name := range codecs {
		for way, send := range map[string]func(o *observer, t *testing.T, x *Exchange) Outcome{
			"Do": func(o *observer, t *testing.T, x *Exchange) Outcome {
				exits(t, func() { o.Do(t.Context(), x) })
				receive(t, x.Ended())
				return x.Outcome()
			},
			"Start": func(o *observer, t *testing.T, x *Exchange) Outcome {
				end := make(endOf, 1)
				x.Owner = end
				exits(t, func() { o.Start(x, time.Now().Add(time.Hour)) })
				return receive(t, end)
			},
		} {
			for _, busy := range []bool{false, true} {
				t.Run(name+" "+way+map[bool]string{true: " busy"}[busy], func(t *testing.T) {
					o, _ := dial(t, name)
					o.lone(t)
					slow := &Exchange{Method: "Echo.Slow", Args: 300_000, Reply: new(int)}
					if busy {
						require.NoError(t, o.Start(slow, time.Time{}))
					}
					out := send(o, t, &Exchange{Method: "Echo.Back", Args: quitter{}, Reply: new(int)})
					require.Equal(t, Outcome{Cause: ArgsUnencodable, Err: errExited}, out)
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					_, out = back(o, ctx, 1)
					require.Error(t, out.Err)
					require.Equal(t, NotSent, out.Sent)
					require.Error(t, o.Start(&Exchange{Method: "Echo.Back", Args: 1, Reply: new(int), Background: true}, time.Time{}), "a ping")
					if busy {
						receive(t, slow.Ended())
						require.NoError(t, slow.Outcome().Err)
						require.Equal(t, 300_000, *slow.Reply.(*int))
					}
					receive(t, o.Done())
					require.Zero(t, o.Load())
				})
			}
		}
	}
}

// The same of a notification.
func TestNotificationThatEndsItsGoroutine(t *testing.T) {
	o, _ := dial(t, "json")
	exits(t, func() { o.Notify(t.Context(), &Exchange{Method: "Echo.Back", Args: quitter{}}) })
	receive(t, o.Done())
}

// A codec that the user gave goes on, as net/rpc's client does.
func TestEncodingThatEndsItsGoroutineOfAForeignCodec(t *testing.T) {
	for way, send := range map[string]func(o *observer, t *testing.T, x *Exchange) Outcome{
		"Do": func(o *observer, t *testing.T, x *Exchange) Outcome {
			exits(t, func() { o.Do(context.Background(), x) })
			receive(t, x.Ended())
			return x.Outcome()
		},
		"Do with a context": func(o *observer, t *testing.T, x *Exchange) Outcome { return o.Do(t.Context(), x) },
		"Start": func(o *observer, t *testing.T, x *Exchange) Outcome {
			require.NoError(t, o.Room(t.Context()))
			end := make(endOf, 1)
			x.Owner = end
			exits(t, func() { o.Start(x, time.Time{}) })
			return receive(t, end)
		},
	} {
		t.Run(way, func(t *testing.T) {
			near, far := net.Pipe()
			server := rpc.NewServer()
			require.NoError(t, server.Register(Echo{}))
			go server.ServeCodec(stdjson.NewServerCodec(far))
			o := new(observer)
			o.OpenCodec(stdjson.NewClientCodec(near), Config{Observer: o})
			defer func() { o.Fail(io.EOF); <-o.CloseDone() }()
			out := send(o, t, &Exchange{Method: "Echo.Back", Args: quitter{}, Reply: new(int)})
			require.Equal(t, Outcome{Cause: ArgsUnencodable, Err: errExited}, out)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			n, out := back(o, ctx, 3)
			require.NoError(t, out.Err)
			require.Equal(t, 3, n)
		})
	}
}

// An unmarshaler that ends the goroutine of the reader ends the connection, and its call.
func TestDecodingThatEndsItsGoroutine(t *testing.T) {
	t.Parallel() // it waits
	for name := range codecs {
		leave := func(after int) *Exchange {
			return &Exchange{Method: "Echo.Leave", Args: after, Reply: new(Leaver)}
		}
		requireEnd := func(t *testing.T, o *observer, out Outcome) {
			t.Helper()
			require.Equal(t, ReplyUnreadable, out.Cause)
			require.Equal(t, Executed, out.Sent)
			require.ErrorIs(t, out.Err, errReaderExited)
			receive(t, o.Done())
			require.Equal(t, errReaderExited, o.Cause())
		}
		t.Run(name+", the reader goroutine", func(t *testing.T) {
			o, _ := dial(t, name)
			end := make(endOf, 1)
			x := leave(0)
			x.Owner = end
			require.NoError(t, o.Start(x, time.Time{}))
			o.Release(x)
			requireEnd(t, o, receive(t, end))
		})
		t.Run(name+", the caller", func(t *testing.T) {
			o, _ := dial(t, name)
			o.lone(t)
			x := leave(0)
			exits(t, func() { o.Do(context.Background(), x) })
			receive(t, x.Ended())
			requireEnd(t, o, x.Outcome())
		})
		t.Run(name+", another caller", func(t *testing.T) {
			o, _ := dial(t, name)
			o.lone(t)
			x, own := leave(100_000), &Exchange{Method: "Echo.Slow", Args: 1_000_000, Reply: new(int)}
			written := make(chan struct{})
			go func() {
				defer close(written)
				for !o.isReading() {
					runtime.Gosched()
				}
				o.Start(x, time.Time{}) //nolint:errcheck // the test fails without it
			}()
			exits(t, func() { o.Do(context.Background(), own) })
			receive(t, written)
			receive(t, x.Ended())
			requireEnd(t, o, x.Outcome())
			receive(t, own.Ended())
			require.Equal(t, Outcome{Cause: ConnectionLost, Err: errReaderExited, Sent: MaybeSent}, own.Outcome())
		})
	}
}

// isReading reports whether a caller reads.
func (o *observer) isReading() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reading == byCaller
}

// The same of a codec that decodes aside.
func TestDecodingThatEndsItsGoroutineOfAForeignCodec(t *testing.T) {
	near, far := net.Pipe()
	server := rpc.NewServer()
	require.NoError(t, server.Register(Echo{}))
	go server.ServeCodec(stdjson.NewServerCodec(far))
	o := new(observer)
	o.OpenCodec(stdjson.NewClientCodec(near), Config{Observer: o})
	x := &Exchange{Method: "Echo.Leave", Args: 0, Reply: new(Leaver)}
	require.NoError(t, o.Room(t.Context()))
	require.NoError(t, o.Start(x, time.Time{}))
	receive(t, x.Ended())
	require.ErrorIs(t, x.Outcome().Err, errReaderExited)
	require.Equal(t, Executed, x.Outcome().Sent)
	receive(t, o.CloseDone())
}
