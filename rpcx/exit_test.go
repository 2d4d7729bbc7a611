package rpcx_test

import (
	"context"
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

// Quitter is an argument, and Leaver a reply, whose encoding and decoding end the goroutine, as
// t.FailNow does. Their other direction works.
type (
	Quitter struct{}
	Leaver  struct{}
)

// GobEncode implements gob.GobEncoder.
func (Quitter) GobEncode() ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}

// GobDecode implements gob.GobDecoder.
func (*Quitter) GobDecode([]byte) error { return nil }

// GobEncode implements gob.GobEncoder.
func (Leaver) GobEncode() ([]byte, error) { return []byte{0}, nil }

// GobDecode implements gob.GobDecoder.
func (*Leaver) GobDecode([]byte) error {
	runtime.Goexit()
	return nil
}

// Exit is a service.
type Exit struct{ hedged chan struct{} }

// Take implements a method.
func (Exit) Take(Quitter, *int) error { return nil }

// Give implements a method.
func (Exit) Give(int, *Leaver) error { return nil }

// Add implements a method.
func (Exit) Add(n int, reply *int) error {
	*reply = n + 1
	return nil
}

// Late is an argument whose second encoding ends the goroutine.
type Late struct {
	encoded *atomic.Int64
	hedged  chan struct{} // is closed by that
}

// GobEncode implements gob.GobEncoder.
func (l Late) GobEncode() ([]byte, error) {
	if l.encoded.Add(1) > 1 {
		close(l.hedged)
		runtime.Goexit()
	}
	return []byte{0}, nil
}

// GobDecode implements gob.GobDecoder.
func (*Late) GobDecode([]byte) error { return nil }

// Wait implements a method. It returns once its call was hedged.
func (e Exit) Wait(_ Late, reply *int) error {
	<-e.hedged
	*reply = 1
	return nil
}

// serveExit serves Exit at two addresses until the test is over.
func serveExit(t *testing.T, e Exit) (addrs []string) {
	server := rpc.NewServer()
	require.NoError(t, server.Register(e))
	for range 2 {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { lis.Close() })
		go server.Accept(lis)
		addrs = append(addrs, lis.Addr().String())
	}
	return addrs
}

// A marshaler that ends the goroutine of a hedge costs that alone.
func TestHedgeWhoseEncodingEndsItsGoroutine(t *testing.T) {
	leak.Check(t)
	d := rpcx.Dialer{
		Hedge: &rpcx.Hedge{Delay: 10 * time.Millisecond, Budget: 1}, Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}},
	}
	hedged := make(chan struct{})
	c, err := d.Dial("tcp", serveExit(t, Exit{hedged})...)
	require.NoError(t, err)
	var encoded atomic.Int64
	var reply int
	require.NoError(t, within(10*time.Second, func() error { return c.Call("Exit.Wait", Late{&encoded, hedged}, &reply) }))
	require.Equal(t, 1, reply)
	for _, e := range c.Stats().Endpoints {
		require.Zero(t, e.InFlight)
	}
	require.NoError(t, c.Close())
}

// A marshaler or an unmarshaler that ends its goroutine costs its own call, and no place of
// another one: others go on, and Close returns.
func TestCodingThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(c *rpcx.Client) error{
		"Call, encoding": func(c *rpcx.Client) error { return c.Call("Exit.Take", Quitter{}, new(int)) },
		"Call, decoding": func(c *rpcx.Client) error { return c.Call("Exit.Give", 1, new(Leaver)) },
		"Go, encoding":   func(c *rpcx.Client) error { return (<-c.Go("Exit.Take", Quitter{}, new(int), nil).Done).Error },
		"Go, decoding":   func(c *rpcx.Client) error { return (<-c.Go("Exit.Give", 1, new(Leaver), nil).Done).Error },
	} {
		for kind, d := range map[string]rpcx.Dialer{
			"plain":  {MaxInFlight: 1, MaxCalls: 1, CallTimeout: 10 * time.Second},
			"hedged": {MaxInFlight: 1, MaxCalls: 1, CallTimeout: 10 * time.Second, Hedge: &rpcx.Hedge{Delay: time.Hour}, Methods: map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				c, err := d.Dial("tcp", serveExit(t, Exit{})...)
				require.NoError(t, err)
				for range 3 {
					for n := range 20 { // until the caller reads
						var reply int
						require.NoError(t, within(20*time.Second, func() error { return c.Call("Exit.Add", n, &reply) }))
						require.Equal(t, n+1, reply)
					}
					require.Error(t, within(20*time.Second, func() error {
						ended := make(chan error, 1)
						go func() {
							err := rpcx.ErrShutdown // unless it returns
							defer func() { ended <- err }()
							err = call(c)
						}()
						return <-ended
					}))
				}
				require.Eventually(t, func() bool { return c.InUse() == 0 }, 10*time.Second, time.Millisecond)
				for _, e := range c.Stats().Endpoints {
					require.Zero(t, e.InFlight)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				require.NoError(t, c.CloseContext(ctx), "no call is under way")
			})
		}
	}
}
