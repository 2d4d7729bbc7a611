package rpcx_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/rpc"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	stdjson "net/rpc/jsonrpc"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// The sleeps of this file take virtual time: inFleet runs each test in a synctest bubble.

// lateWays are the ways in which a call of Go can be sent after Go has returned, or again.
// Each returns what is to happen then.
var lateWays = map[string]struct {
	change func(*rpcx.Dialer)
	before func(f *fleet, c *rpcx.Client)
	after  func(f *fleet)
}{
	"dial": {
		before: func(f *fleet, _ *rpcx.Client) {
			f.Delay(f.addrs[0], 100*time.Millisecond)
			f.Cut(f.addrs[0])
			synctest.Wait()
		},
	},
	"refused at first": {
		change: func(d *rpcx.Dialer) { d.Retry.BackOff = constantly(50 * time.Millisecond) },
		before: func(f *fleet, _ *rpcx.Client) { f.kill(f.addrs[0]) },
		after:  func(f *fleet) { time.Sleep(300 * time.Millisecond); f.Resume(f.addrs[0]) },
	},
	"line of MaxCalls": {
		change: func(d *rpcx.Dialer) { d.MaxCalls, d.QueueTimeout = 1, time.Minute },
		before: func(_ *fleet, c *rpcx.Client) { c.Go("Bank.Sleep", time.Second, new(string), nil) },
	},
	"line of MaxInFlight": {
		change: func(d *rpcx.Dialer) { d.MaxInFlight, d.QueueTimeout = 1, time.Minute },
		before: func(_ *fleet, c *rpcx.Client) { c.Go("Bank.Sleep", time.Second, new(string), nil) },
	},
	"peer that does not read": {
		before: func(f *fleet, c *rpcx.Client) {
			f.Stall(f.addrs[0])
			for range 40 {
				c.Go("Bank.Measure", strings.Repeat("x", 64<<10), new(int), nil)
			}
		},
		after: func(f *fleet) { time.Sleep(500 * time.Millisecond); f.Resume(f.addrs[0]) },
	},
	"retry": {
		after: func(f *fleet) { time.Sleep(500 * time.Millisecond); f.Cut(f.addrs[0]) },
	},
	"none of them": {},
}

// net/rpc's Go has encoded args when it returns, and then they are the caller's again.
func TestArgsAreTheCallersAfterGo(t *testing.T) {
	t.Parallel()
	codecs := map[string]func(*rpcx.Dialer){
		"gob":           func(*rpcx.Dialer) {},
		"json":          func(d *rpcx.Dialer) { d.Codec = codec.NewJSONClient },
		"net/rpc's own": func(d *rpcx.Dialer) { d.Codec = stdjson.NewClientCodec },
	}
	for name, way := range lateWays {
		for format, use := range codecs {
			t.Run(name+"/"+format, func(t *testing.T) {
				inFleet(t, 1, func(t *testing.T, f *fleet) {
					if format != "gob" {
						f.serve = func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(stdjson.NewServerCodec(c)) }
					}
					use(&f.dialer)
					f.dialer.Methods = idempotent("Bank.Place")
					if way.change != nil {
						way.change(&f.dialer)
					}
					f.addrs = []string{"z:1"}
					f.Delay("z:1", time.Millisecond)
					f.start("z:1")
					c := f.dial()
					defer c.Close()
					time.Sleep(time.Second)
					if way.before != nil {
						way.before(f, c)
					}
					args, want := newOrder(time.Second), newOrder(time.Second)
					var got Order
					call := c.Go("Bank.Place", args, &got, nil)
					args.spoil()
					if way.after != nil {
						way.after(f)
					}
					<-call.Done
					require.NoError(t, call.Error)
					require.Same(t, args, call.Args)
					require.NotNil(t, got.Next)
					require.Equal(t, want.Next.Items, got.Next.Items)
					got.Next, want.Next, want.seen = nil, nil, nil
					require.Equal(t, fmt.Sprintf("%+v", *want), fmt.Sprintf("%+v", got)) // gob does not tell nil from empty
				})
			})
		}
	}
}

// A hedge is sent from a timer's goroutine.
func TestHedgeOfSpoiltArgs(t *testing.T) {
	t.Parallel()
	inRace(t, 2, nil, func(t *testing.T, h *hedged) {
		h.answersAfter("a:1", time.Minute)
		args := newOrder(time.Second)
		var got Order
		call := h.Go("Bank.Place", args, &got, nil)
		args.spoil()
		<-call.Done
		require.NoError(t, call.Error)
		require.EqualValues(t, 1, h.Stats().HedgesWon)
		require.Equal(t, newOrder(0).Items, got.Items)
		require.Equal(t, []int{1, 2}, got.Counts["a"])
	})
}

// What cannot be copied is written before Go returns, as by net/rpc's, and then never
// again.
func TestGoWaitsForArgsThatCannotBeCopied(t *testing.T) {
	t.Parallel()
	for name, way := range lateWays {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				f.dialer.Methods = idempotent("Bank.Open")
				if way.change != nil {
					way.change(&f.dialer)
				}
				c := f.dial()
				defer c.Close()
				time.Sleep(time.Second)
				if way.before != nil {
					way.before(f, c)
				}
				if way.after != nil {
					go way.after(f)
				}
				text, got := "as it was", ""
				call := c.Go("Bank.Open", Sealed{&text}, &got, nil)
				text = "spoilt"
				<-call.Done
				if name == "retry" {
					require.Error(t, call.Error)
					require.Zero(t, c.Stats().Retries)
					return
				}
				require.NoError(t, call.Error)
				require.Equal(t, "as it was", got)
			})
		})
	}
	inFleet(t, 1, func(t *testing.T, f *fleet) { // it does not wait for ever
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		text := ""
		call := c.Go("Bank.Open", Sealed{&text}, new(string), nil)
		require.Len(t, call.Done, 1)
		require.ErrorIs(t, (<-call.Done).Error, rpcx.ErrUnavailable)
	})
}

// A client of one given connection sends once; only if it has to wait for that, it needs
// a copy.
func TestArgsOverOneConnection(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		conn, err := f.DialContext(t.Context(), "tcp", "a:1")
		require.NoError(t, err)
		c := rpcx.NewClient(conn)
		defer c.Close()
		var calls []*rpcx.Call
		f.Stall("a:1")
		for range 40 {
			args := newOrder(0)
			args.Items = append(args.Items, strings.Repeat("x", 64<<10))
			calls = append(calls, c.Go("Bank.Place", args, new(Order), nil))
			args.spoil()
		}
		time.Sleep(500 * time.Millisecond)
		f.Resume("a:1")
		for _, call := range calls {
			<-call.Done
			require.NoError(t, call.Error)
			require.Equal(t, []string{"a", "b"}, call.Reply.(*Order).Items[:2])
		}
	})
}

// slowWriter is a codec that encodes after a while, and then remembers what it saw.
type slowWriter struct {
	*faultyCodec
	goOn chan struct{}
	saw  chan string
}

func (c slowWriter) WriteRequest(_ *rpc.Request, body any) error {
	<-c.goOn
	text, err := json.Marshal(body)
	c.saw <- string(text)
	return err
}

// A caller whose time is up leaves, and his args with him, while a codec that hangs has
// yet to read them.
func TestArgsOfACallerWhoLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		codec := slowWriter{newFaultyCodec(""), make(chan struct{}), make(chan string, 1)}
		c := rpcx.NewClientWithCodec(codec)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		args := &Deposit{ID: 7}
		require.ErrorIs(t, c.CallContext(ctx, "Bank.Deposit", args, new(int)), context.DeadlineExceeded)
		args.ID = 8
		close(codec.goOn)
		require.JSONEq(t, `{"ID":7,"Amount":0}`, <-codec.saw)
		require.NoError(t, c.Close())
	})
}
