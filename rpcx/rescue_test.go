package rpcx_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

var errBoom = errors.New("boom")

// mute is a codec, nil as it may be.
type mute struct{ rpc.ClientCodec }

// broken are functions of a Dialer that do not do their work, and what a dial says then.
var broken = map[string]struct {
	change func(d *rpcx.Dialer)
	want   string
	panics bool
}{
	"NetDial returns nothing": {func(d *rpcx.Dialer) {
		d.NetDial = func(context.Context, string, string) (net.Conn, error) { return nil, nil } //nolint:nilnil // that is it
	}, "Dialer.NetDial returned neither a connection nor an error", false},
	"NetDial panics": {func(d *rpcx.Dialer) {
		d.NetDial = func(context.Context, string, string) (net.Conn, error) { panic(errBoom) }
	}, "Dialer.NetDial panicked: boom", true},
	"Codec returns nil": {func(d *rpcx.Dialer) {
		d.Codec = func(io.ReadWriteCloser) rpc.ClientCodec { return nil }
	}, "Dialer.Codec returned no codec", false},
	"Codec returns a nil pointer": {func(d *rpcx.Dialer) {
		d.Codec = func(io.ReadWriteCloser) rpc.ClientCodec { return (*mute)(nil) }
	}, "Dialer.Codec returned no codec", false},
	"Codec panics": {func(d *rpcx.Dialer) {
		d.Codec = func(io.ReadWriteCloser) rpc.ClientCodec { panic(errBoom) }
	}, "Dialer.Codec panicked: boom", true},
	"Codec panics behind a greeting": {func(d *rpcx.Dialer) {
		d.Codec = func(conn io.ReadWriteCloser) rpc.ClientCodec {
			io.WriteString(conn, "hello") //nolint:errcheck // it panics in any case
			panic(errBoom)
		}
	}, "Dialer.Codec panicked: boom", true},
	"TLSConfig panics": {func(d *rpcx.Dialer) {
		d.TLSConfig = &tls.Config{ServerName: "a", Rand: panicking{}}
	}, "Dialer.TLSConfig panicked: boom", true},
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic(errBoom) }

// A function that does not work fails the dial, whose error names it. Where it panics, that
// is logged once, with its stack.
func TestBrokenFunctionsFailTheDial(t *testing.T) {
	t.Parallel()
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				var log lines
				f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
				b.change(&f.dialer)
				_, err := f.dialer.Dial("tcp", "a:1")
				var op *net.OpError
				require.ErrorAs(t, err, &op)
				require.ErrorContains(t, err, b.want)
				require.Equal(t, b.panics, errors.Is(err, errBoom))
				if b.panics {
					require.Len(t, log.with("rescue_test.go"), 1, "the stack")
				}
				time.Sleep(time.Second) // until the server has seen it
				require.Zero(t, f.Open("a:1"), "the connection is closed")
			})
		})
	}
}

// The same of a function that has worked before, when a connection is made again. Calls
// fail with its error, on goroutines of the client's too, and go on when it works again.
func TestBrokenFunctionsFailTheRedial(t *testing.T) {
	t.Parallel()
	for name, b := range broken {
		if name == "TLSConfig panics" { // the servers have none
			continue
		}
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				var log lines
				f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
				good, bad := f.dialer, f.dialer
				good.Codec = codec.NewGobClient
				bad.Codec = good.Codec
				b.change(&bad)
				var fails atomic.Bool
				which := func() *rpcx.Dialer {
					if fails.Load() {
						return &bad
					}
					return &good
				}
				f.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
					return which().NetDial(ctx, network, address)
				}
				f.dialer.Codec = func(conn io.ReadWriteCloser) rpc.ClientCodec { return which().Codec(conn) }
				c := f.dial()
				defer c.Close()
				where(t, c, 1)
				fails.Store(true)
				f.Cut("a:1")
				for range 100 {
					time.Sleep(100 * time.Millisecond)
					err := c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
					require.ErrorContains(t, err, b.want)
					require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
					require.IsType(t, &rpcx.CallError{}, (<-c.Go("Bank.Where", struct{}{}, new(string), nil).Done).Error)
				}
				if b.panics {
					require.Len(t, log.with("rescue_test.go"), 1, "the stack, once")
				}
				fails.Store(false)
				time.Sleep(10 * time.Second)
				where(t, c, 10)
			})
		})
	}
}

// A client of a given connection gets the error at once, and keeps the connection.
func TestGivenConnectionAndABrokenCodec(t *testing.T) {
	leak.Check(t)
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	d := rpcx.Dialer{Codec: func(io.ReadWriteCloser) rpc.ClientCodec { return nil }}
	_, err := d.NewClient(near)
	require.EqualError(t, err, "rpcx: Dialer.Codec returned no codec")
	go near.Write([]byte("open")) //nolint:errcheck // the read fails without
	_, err = io.ReadFull(far, make([]byte, 4))
	require.NoError(t, err)
}

// A nil connection or codec is found on the goroutine that gives it.
func TestNothingIsGiven(t *testing.T) {
	leak.Check(t)
	require.Panics(t, func() { rpcx.NewClient(nil) })
	require.Panics(t, func() { rpcx.NewClient((*net.TCPConn)(nil)) })
	require.Panics(t, func() { rpcx.NewClientWithCodec(nil) })
	require.Panics(t, func() { rpcx.NewClientWithCodec((*mute)(nil)) })
	var d rpcx.Dialer
	_, err := d.NewClient(nil)
	require.ErrorContains(t, err, "in place of a connection")
}

// panickingCodec panics where it is told to.
type panickingCodec struct {
	rpc.ClientCodec
	where string
}

func (c *panickingCodec) ReadResponseHeader(r *rpc.Response) error {
	err := c.ClientCodec.ReadResponseHeader(r)
	if c.where == "header" {
		panic(errBoom)
	}
	return err
}

func (c *panickingCodec) ReadResponseBody(body any) error {
	if c.where == "body" {
		panic(errBoom)
	}
	return c.ClientCodec.ReadResponseBody(body)
}

// panickingConn is a connection whose Read panics once something has come.
type panickingConn struct{ net.Conn }

func (c panickingConn) Read(p []byte) (int, error) {
	if _, err := c.Conn.Read(p); err != nil {
		return 0, err
	}
	panic(errBoom)
}

// A codec or a connection that panics while it reads ends the connection and its calls, and
// not the program: the goroutine is the client's.
func TestReadersThatPanic(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rpcx.Dialer){
		"header": func(d *rpcx.Dialer) {
			d.Codec = func(c io.ReadWriteCloser) rpc.ClientCodec { return &panickingCodec{codec.NewGobClient(c), "header"} }
		},
		"body": func(d *rpcx.Dialer) {
			d.Codec = func(c io.ReadWriteCloser) rpc.ClientCodec { return &panickingCodec{codec.NewGobClient(c), "body"} }
		},
		"connection": func(d *rpcx.Dialer) {
			dial := d.NetDial
			d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				return panickingConn{c}, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				f.dialer.Breaker.Disabled = true
				f.dialer.Heartbeat = -1
				change(&f.dialer)
				c := f.dial()
				defer c.Close()
				for _, reply := range []*string{new(string), ptr("decoded in place")} {
					require.ErrorContains(t, c.CallContext(t.Context(), "Bank.Where", struct{}{}, reply), "panicked: boom")
					require.ErrorContains(t, (<-c.Go("Bank.Where", struct{}{}, reply, nil).Done).Error, "panicked: boom")
				}
			})
		})
	}
}

func ptr[T any](v T) *T { return &v }

// panickingResolver names one endpoint, and panics where it is told to.
type panickingResolver struct{ where string }

func (r *panickingResolver) Watch(ctx context.Context, deliver func([]rpcx.Endpoint, error)) error {
	if r.where == "before" {
		panic(errBoom)
	}
	deliver([]rpcx.Endpoint{{Address: "a:1"}}, nil)
	if r.where == "behind" {
		panic(errBoom)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (r *panickingResolver) Refresh() { panic(errBoom) }

// A resolver that panics has given up. What it has named stays.
func TestResolverThatPanics(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		for _, r := range []rpcx.Resolver{&panickingResolver{"before"}, (*panickingResolver)(nil)} {
			d := f.dialer
			d.Resolver = r
			_, err := d.Dial("tcp")
			require.ErrorContains(t, err, "Dialer.Resolver panicked: ")
		}
		for _, place := range []string{"behind", "in Refresh"} {
			var log lines
			d := f.dialer
			d.Resolver = &panickingResolver{place}
			d.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c, err := d.Dial("tcp")
			require.NoError(t, err)
			where(t, c, 10)
			f.kill("a:1")
			time.Sleep(time.Minute) // for Refresh
			f.Resume("a:1")
			time.Sleep(time.Minute)
			where(t, c, 10)
			require.Len(t, log.with(`msg="Dialer.Resolver panicked" panic=boom`), 1)
			require.NoError(t, c.Close())
		}
	})
}

// panickingPolicy panics where it is told to.
type panickingPolicy struct{ where string }

func (p *panickingPolicy) Picker(*balancer.View) balancer.Picker {
	if p.where == "Picker" {
		panic(errBoom)
	}
	return p
}

func (p *panickingPolicy) Pick(time.Time, balancer.PickInfo) *balancer.Node { panic(errBoom) }

// The balancer chooses by itself in place of a policy that panics, be it in a call, in a
// hedge, or as an endpoint's state changes.
func TestBalancerPolicyThatPanics(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]balancer.Policy{
		"Picker": &panickingPolicy{"Picker"}, "Pick": &panickingPolicy{"Pick"}, "nil": (*panickingPolicy)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				var log lines
				f.dialer.Logger = slog.New(slog.NewTextHandler(&log, nil))
				f.dialer.Balancer = policy
				f.dialer.Hedge = &rpcx.Hedge{Delay: time.Millisecond}
				f.dialer.Methods = map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}
				c := f.dial()
				defer c.Close()
				where(t, c, 10)
				require.NoError(t, (<-c.Go("Bank.Where", struct{}{}, new(string), nil).Done).Error)
				f.kill("a:1")
				where(t, c, 10)
				require.Len(t, log.with(`msg="Dialer.Balancer panicked"`), 1)
			})
		})
	}
}
