package rpcx_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

func TestNotHedged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		n      int // endpoints
		change func(*rpcx.Dialer)
		ctx    func(context.Context) context.Context
		before func(*hedged)
		reply  string
	}{
		{name: "not idempotent", change: func(d *rpcx.Dialer) { d.Methods = nil }},
		{name: "off", change: func(d *rpcx.Dialer) { d.Hedge = nil }},
		{name: "off for the method", change: func(d *rpcx.Dialer) {
			d.Methods = map[string]rpcx.MethodOptions{"Bank.*": {Idempotent: rpcx.Yes, Hedge: rpcx.No}}
		}},
		{name: "a retry of somebody else", ctx: rpcx.AsRetry},
		{name: "one endpoint", n: 1},
		{name: "the other is down", before: func(h *hedged) { h.kill("b:1") }},
		{name: "the other is not connected", change: func(d *rpcx.Dialer) { d.Breaker.Disabled = true }, before: func(h *hedged) { h.kill("b:1") }},
		{name: "the retry budget is spent", change: func(d *rpcx.Dialer) { d.Retry.Budget = 1e-3 }, before: func(h *hedged) {
			h.spend(budgetBurst)
		}},
		{name: "the hedge budget is spent", change: func(d *rpcx.Dialer) { d.Hedge.Budget = 1e-3; d.Retry.Budget = -1 }, before: func(h *hedged) {
			h.spend(budgetBurst)
		}},
		{name: "the percentile is not known", change: func(d *rpcx.Dialer) { d.Hedge.Delay = 0 }, before: func(h *hedged) {
			where(h.t, h.Client, 98) // and two more
		}},
		{name: "the percentile is that of other methods", change: func(d *rpcx.Dialer) {
			d.Hedge.Delay = 0
			d.Methods = idempotent("Bank.Where")
		}, before: func(h *hedged) {
			for range 200 {
				require.NoError(h.t, h.Call("Bank.Echo", "", new(string)))
			}
		}},
		{name: "other methods do not pay", change: func(d *rpcx.Dialer) {
			d.Hedge.Budget, d.Retry.Budget = 0.1, -1
			d.Methods = idempotent("Bank.Where")
		}, before: func(h *hedged) {
			h.spend(budgetBurst)
			h.spend(budgetBurst + 1) // each call adds a tenth
			for range 200 {
				require.NoError(h.t, h.Call("Bank.Echo", "", new(string)))
			}
		}},
		{name: "the reply holds something", reply: "something"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRace(t, max(c.n, 2)-c.n%2, c.change, func(t *testing.T, h *hedged) {
				if c.before != nil {
					c.before(h)
				}
				before, attempts := h.Stats().Hedges, len(h.ended())
				h.answersAfter("a:1", time.Second)
				h.answersAfter("b:1", 2*time.Second)
				ctx := t.Context()
				if c.ctx != nil {
					ctx = c.ctx(rpcx.WithIdempotent(ctx))
				}
				reply := c.reply
				start := time.Now()
				require.NoError(t, h.CallContext(ctx, "Bank.Where", struct{}{}, &reply))
				require.Equal(t, "a:1", reply)
				require.Equal(t, time.Second, time.Since(start))
				require.Len(t, h.ended(), attempts+1)
				call := <-h.Go("Bank.Where", struct{}{}, &c.reply, nil).Done
				require.NoError(t, call.Error)
				if c.ctx == nil { // a call of Go has no context
					require.Equal(t, before, h.Stats().Hedges)
				}
			})
		})
	}
}

func TestHedgeWaitsForNoRoom(t *testing.T) {
	t.Parallel()
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			inRace(t, 2, func(d *rpcx.Dialer) { d.MaxInFlight = 1; d.Hedge.Budget = 1; d.Retry.Budget = -1 }, func(t *testing.T, h *hedged) {
				h.answersAfter("a:1", time.Second)
				require.Equal(t, map[string]int{"b:1": 1}, where(t, h.Client, 1))
				// The loser is in flight at a:1, so this call goes to b:1, and no endpoint is left for a hedge.
				h.answersAfter("b:1", 100*time.Millisecond)
				require.NoError(t, way.call(h.Client, "Bank.Where", struct{}{}, new(string)))
				require.EqualValues(t, 1, h.Stats().Hedges)
				time.Sleep(2 * time.Second)
				require.NoError(t, way.call(h.Client, "Bank.Where", struct{}{}, new(string)))
				require.EqualValues(t, 2, h.Stats().Hedges, "the place is free again")
			})
		})
	}
}

// A hedge for which its connection has no room is no attempt: neither hooks nor errors
// tell of it.
func TestHedgeThatCannotBeSentIsNoAttempt(t *testing.T) {
	t.Parallel()
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			var begun []string
			inRace(t, 2, func(d *rpcx.Dialer) {
				d.Retry.MaxAttempts = -1
				d.Methods = idempotent("Bank.Where")
				d.Trace = d.Trace.Join(&rpcx.ClientTrace{
					AttemptStart: func(ctx context.Context, i rpcx.AttemptInfo) context.Context {
						if i.Method == "Bank.Where" {
							begun = append(begun, i.Endpoint)
						}
						return ctx
					},
				})
			}, func(t *testing.T, h *hedged) {
				h.Stall("b:1")
				h.reverse.Store(true)
				for range 100 { // far more than what is kept in memory
					h.Go("Bank.Echo", strings.Repeat("x", 64<<10), new(string), nil)
				}
				synctest.Wait()
				h.reverse.Store(false)
				h.answersAfter("a:1", time.Second)
				time.AfterFunc(500*time.Millisecond, func() { h.Cut("a:1") })
				require.Error(t, way.call(h.Client, "Bank.Where", struct{}{}, new(string)))
				err := callError(t, h.failed)
				require.Equal(t, 1, err.Attempts)
				require.Equal(t, "a:1", err.Endpoint)
				require.Equal(t, []string{"a:1"}, begun)
				require.Zero(t, h.Stats().Hedges)
			})
		})
	}
}

// A call is hedged once, however often it is tried.
func TestOneHedgeForEachCall(t *testing.T) {
	t.Parallel()
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			inRace(t, 4, nil, func(t *testing.T, h *hedged) {
				for _, a := range h.addrs {
					h.answersAfter(a, 500*time.Millisecond)
				}
				time.AfterFunc(100*time.Millisecond, func() { h.Cut("a:1"); h.Cut("b:1") })
				var reply string
				require.NoError(t, way.call(h.Client, "Bank.Where", struct{}{}, &reply))
				require.Equal(t, "c:1", reply)
				require.EqualValues(t, 1, h.Stats().Retries)
				require.EqualValues(t, 1, h.Stats().Hedges)
				require.Len(t, h.ended(), 3)
			})
		})
	}
}
