package rpcx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// every is a way to make a call: Call, CallContext, Invoke or Go.
var every = map[string]func(c *rpcx.Client, method string, args any, reply *string) error{
	"Call": func(c *rpcx.Client, method string, args any, reply *string) error {
		return c.Call(method, args, reply)
	},
	"CallContext": func(c *rpcx.Client, method string, args any, reply *string) error {
		return c.CallContext(context.Background(), method, args, reply)
	},
	"Invoke": func(c *rpcx.Client, method string, args any, reply *string) (err error) {
		*reply, err = rpcx.Invoke[string](context.Background(), c, method, args)
		return err
	},
	"Go": func(c *rpcx.Client, method string, args any, reply *string) error {
		return (<-c.Go(method, args, reply, nil).Done).Error
	},
	"StandardClient": func(c *rpcx.Client, method string, args any, reply *string) error {
		return c.StandardClient().Call(method, args, reply)
	},
}

// Every call passes through Intercept, once, which can change all of it.
func TestInterceptChangesACall(t *testing.T) {
	t.Parallel()
	for way, call := range every {
		t.Run(way, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				var intercepted atomic.Int64
				f.dialer.Intercept = func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
					intercepted.Add(1)
					return next(ctx, "Bank."+method, args.(string)+"!", reply)
				}
				c := f.dial()
				defer c.Close()
				var reply string
				require.NoError(t, call(c, "Echo", "hello", &reply))
				require.Equal(t, "hello!", reply)
				require.EqualValues(t, 1, intercepted.Load())
				require.EqualValues(t, 1, c.Stats().Calls)
			})
		})
	}
}

// It can answer by itself, repeat a call, and replace the error; errors that it passes on
// are the caller's as ever.
func TestInterceptRetriesAndAnswers(t *testing.T) {
	t.Parallel()
	for way, call := range every {
		t.Run(way, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				own := errors.New("not on Sundays")
				f.dialer.Intercept = func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
					switch method {
					case "Answer":
						if reply, ok := reply.(*string); ok {
							*reply = "by itself"
						}
						return nil
					case "Own":
						return own
					case "Bank.Refuse":
						for range 2 {
							next(ctx, method, args, reply) //nolint:errcheck // it is tried again
						}
					}
					return next(ctx, method, args, reply)
				}
				c := f.dial()
				defer c.Close()
				var reply string
				require.NoError(t, call(c, "Answer", 1, &reply))
				if way != "StandardClient" {
					require.Equal(t, "by itself", reply)
				}
				err := call(c, "Own", 1, &reply)
				if way == "StandardClient" {
					require.Equal(t, rpc.ServerError(own.Error()), err)
				} else {
					require.Equal(t, own, err)
				}
				require.Equal(t, rpc.ServerError("no"), call(c, "Bank.Refuse", "no", &reply))
				require.EqualValues(t, 3, c.Stats().Calls)
				require.NoError(t, c.Close())
				require.Equal(t, rpc.ErrShutdown, call(c, "Answer", 1, &reply), "it is not asked")
			})
		})
	}
}

// The errors of Call and Go are net/rpc's through it.
func TestInterceptKeepsErrors(t *testing.T) {
	var seen atomic.Value
	d := rpcx.Dialer{Intercept: func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
		err := next(ctx, method, args, reply)
		seen.Store(err)
		return err
	}}
	for _, way := range []string{"Call", "CallContext", "Go"} {
		near, far := net.Pipe()
		c := newClient(t, d, near)
		go func() {
			server := codec.NewGobServer(far)
			server.ReadRequestHeader(new(rpc.Request)) //nolint:errcheck // then it ends
			far.Close()
		}()
		err := every[way](c, "A.B", 1, new(string))
		require.ErrorIs(t, seen.Load().(error), io.ErrUnexpectedEOF)
		require.IsType(t, new(rpcx.CallError), seen.Load())
		if way == "CallContext" {
			require.Equal(t, seen.Load(), err)
		} else {
			require.Equal(t, io.ErrUnexpectedEOF, err)
		}
		require.NoError(t, c.Close())
	}
}

// A panic is the caller's, or, where that is out of reach, the error of the call. Neither
// costs anything else.
func TestInterceptPanics(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Intercept = func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
			switch method {
			case "panic":
				panic("of the user")
			case "exit":
				runtime.Goexit()
			}
			return next(ctx, method, args, reply)
		}
		c := f.dial()
		var reply string
		for _, way := range []string{"Call", "CallContext", "Invoke"} {
			require.PanicsWithValue(t, "of the user", func() { every[way](c, "panic", 1, &reply) }, way) //nolint:errcheck // it panics
		}
		text := "of the user"
		for _, args := range []any{1, &Sealed{&text}} { // the latter cannot be copied
			err := every["Go"](c, "panic", args, &reply)
			require.ErrorContains(t, err, "rpcx: panic: a function of the Dialer panicked: of the user (may have run)")
			require.Equal(t, "panic", callError(t, err).Method)
		}
		require.ErrorContains(t, every["Go"](c, "exit", 1, &reply), "rpcx: exit: a function of the Dialer panicked (may have run)")
		require.ErrorContains(t, every["StandardClient"](c, "panic", 1, &reply), "of the user")
		require.NoError(t, every["Call"](c, "Bank.Where", struct{}{}, &reply))
		require.NoError(t, c.CloseContext(t.Context()), "nothing is under way")
	})
}

// Args are the caller's again when Go returns, whatever Intercept does with them later.
func TestInterceptedGoCopiesArgs(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Intercept = func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
			time.Sleep(time.Second)
			return next(ctx, method, args, reply)
		}
		c := f.dial()
		defer c.Close()
		order := newOrder(0)
		var got Order
		call := c.Go("Bank.Place", order, &got, nil)
		order.spoil()
		require.NoError(t, (<-call.Done).Error)
		want := newOrder(0)
		want.seen = nil
		want.Next.seen = nil
		require.Equal(t, *want, got)

		text, opened := "sealed", ""
		sealed := Sealed{&text}
		call = c.Go("Bank.Open", sealed, &opened, nil)
		*sealed.text = "spoilt"
		require.NoError(t, (<-call.Done).Error)
		require.Equal(t, "sealed", opened)
	})
}

// CloseContext waits for an intercepted call with all that it makes; Close ends it, and a
// CallFunc that is kept for later says so.
func TestInterceptedCallsAreDrained(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		var kept atomic.Value
		f.dialer.Intercept = func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
			kept.Store(next)
			if err := next(ctx, method, args, reply); err != nil {
				return err
			}
			time.Sleep(time.Second)
			return next(ctx, method, args, reply)
		}
		c := f.dial()
		call := c.Go("Bank.Where", struct{}{}, new(string), nil)
		synctest.Wait()
		require.NoError(t, c.CloseContext(t.Context()))
		require.NoError(t, (<-call.Done).Error)
		require.Equal(t, rpc.ErrShutdown, kept.Load().(rpcx.CallFunc)(t.Context(), "Bank.Where", struct{}{}, new(string)))

		c = f.dial()
		call = c.Go("Bank.Sleep", time.Hour, new(string), nil)
		synctest.Wait()
		require.NoError(t, c.Close())
		require.Equal(t, rpc.ErrShutdown, (<-call.Done).Error)
	})
}

// Without it, a call allocates what it did, and with one that only passes on no more.
func TestInterceptCostsNothing(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accept(t, lis, func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeConn(c) })
	allocated := func(d rpcx.Dialer) float64 {
		c, err := d.Dial("tcp", lis.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		args, product := &Args{2, 3}, new(int)
		call := func() {
			if err := c.Call("Arith.Multiply", args, product); err != nil {
				t.Error(err)
			}
		}
		for range 100 {
			call()
		}
		return testing.AllocsPerRun(500, call)
	}
	without := allocated(rpcx.Dialer{})
	with := allocated(rpcx.Dialer{Intercept: func(ctx context.Context, method string, args, reply any, next rpcx.CallFunc) error {
		return next(ctx, method, args, reply)
	}})
	require.LessOrEqual(t, with, without+1) // the server's and the runtime's are counted, too
}
