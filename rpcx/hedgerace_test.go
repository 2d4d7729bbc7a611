package rpcx_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// What may happen while two attempts race.

// The deadline ends both attempts, and nothing is paid for a call whose time is up.
func TestDeadlineDuringRace(t *testing.T) {
	t.Parallel()
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			inRace(t, 2, func(d *rpcx.Dialer) { d.CallTimeout = 300 * time.Millisecond }, func(t *testing.T, h *hedged) {
				start := time.Now()
				err := way.call(h.Client, "Bank.Sleep", time.Minute, new(string))
				require.Equal(t, 300*time.Millisecond, time.Since(start))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 2, callError(t, err).Attempts)
				require.Equal(t, rpcx.MaybeSent, callError(t, err).Sent)
				require.Zero(t, h.Stats().Retries)
				require.Equal(t, "call", h.told()[3])
			})
		})
	}
}

// A caller that leaves ends both attempts.
func TestLeavingDuringRace(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{hedgeDelay / 2, hedgeDelay, 2 * hedgeDelay} {
		inRace(t, 2, nil, func(t *testing.T, h *hedged) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(after, cancel)
			start := time.Now()
			reply := ""
			err := h.CallContext(ctx, "Bank.Sleep", time.Minute, &reply)
			require.Equal(t, after, time.Since(start))
			require.ErrorIs(t, err, context.Canceled)
			time.Sleep(2 * time.Minute)
			require.Empty(t, reply)
			for _, e := range h.Stats().Endpoints {
				require.Zero(t, e.InFlight)
				require.Equal(t, breaker.Closed, e.State)
			}
		})
	}
}

// The caller leaves, or the first attempt is answered, just as the hedge is being made.
func TestEndWhileTheHedgeIsMade(t *testing.T) {
	t.Parallel()
	for _, leave := range []bool{true, false} {
		const making = 5 * time.Millisecond
		cancel := func() {}
		inRace(t, 2, func(d *rpcx.Dialer) {
			d.Trace = d.Trace.Join(&rpcx.ClientTrace{Hedge: func(context.Context, rpcx.HedgeInfo) {
				if leave {
					cancel()
				}
				time.Sleep(making)
			}})
		}, func(t *testing.T, h *hedged) {
			h.answersAfter("a:1", hedgeDelay+making/2)
			h.answersAfter("b:1", time.Minute)
			var ctx context.Context
			ctx, cancel = context.WithCancel(t.Context())
			defer cancel()
			args, reply := "mine", ""
			start := time.Now()
			err := h.CallContext(ctx, "Bank.Echo", &args, &reply)
			require.Equal(t, hedgeDelay+making, time.Since(start), "args are being read until then, and no longer")
			args = "changed"
			if leave {
				require.ErrorIs(t, err, context.Canceled)
				require.Empty(t, reply)
			} else {
				require.NoError(t, err)
				require.Equal(t, "mine", reply)
			}
			time.Sleep(time.Hour)
			for _, e := range h.Stats().Endpoints {
				require.Zero(t, e.InFlight)
			}
		})
	}
}

// The caller leaves before the hedge has its connection.
func TestCallerLeavesAsTheHedgeBegins(t *testing.T) {
	t.Parallel()
	cancel := func() {}
	inRace(t, 2, func(d *rpcx.Dialer) {
		d.Trace = d.Trace.Join(&rpcx.ClientTrace{AttemptStart: func(ctx context.Context, i rpcx.AttemptInfo) context.Context {
			if i.Hedge {
				cancel()
				time.Sleep(time.Millisecond) // the caller takes notice
			}
			return ctx
		}})
	}, func(t *testing.T, h *hedged) {
		h.answersAfter("a:1", time.Minute)
		h.answersAfter("b:1", time.Minute)
		var ctx context.Context
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, h.CallContext(ctx, "Bank.Echo", "mine", new(string)), context.Canceled)
		require.Equal(t, hedgeDelay+time.Millisecond, time.Since(start))
		synctest.Wait()
		for _, e := range h.Stats().Endpoints {
			require.Zero(t, e.InFlight, "nothing waits for an answer that nobody wants")
		}
		time.Sleep(time.Hour)
	})
}

// inUnsent is inRace with hedges whose connections end before they are sent, if that
// is wanted: cut ends them.
func inUnsent(t *testing.T, n int, budget float64, cut func(*hedged), f func(*testing.T, *hedged)) {
	t.Helper()
	var fl *hedged
	inRace(t, n, func(d *rpcx.Dialer) {
		d.Heartbeat = 0
		d.Hedge.Budget, d.Retry.Budget = budget, budget
		d.Trace = d.Trace.Join(&rpcx.ClientTrace{AttemptStart: func(ctx context.Context, i rpcx.AttemptInfo) context.Context {
			if i.Hedge && i.Attempt == 2 && fl.Stats().Calls == 1 {
				cut(fl)
				time.Sleep(hedgeDelay) // until that is known
			}
			return ctx
		}})
	}, func(t *testing.T, h *hedged) {
		fl = h
		f(t, h)
	})
}

// A second attempt whose connection ends before it is sent is no hedge: it is not
// counted, reported or paid for.
func TestHedgeThatWasNotSent(t *testing.T) {
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			inUnsent(t, 2, 1e-3, func(h *hedged) { h.Cut("b:1") }, func(t *testing.T, h *hedged) {
				h.answersAfter("a:1", 100*time.Millisecond)
				require.NoError(t, way.call(h.Client, "Bank.Where", struct{}{}, new(string)))
				require.Equal(t, []string{"attempt at b:1", "attempt at a:1", "call"}, h.told())
				require.Equal(t, rpcx.NotSent, h.ended()[0].Sent)
				require.Zero(t, h.Stats().Hedges)
				require.InDelta(t, budgetBurst, h.Stats().Budget, 0)
				synctest.Wait()
				require.Zero(t, h.InUse())
				time.Sleep(time.Minute) // b:1 is back
				h.spend(budgetBurst)
			})
		})
	}
}

// The call may have another one, then.
func TestHedgeAfterOneThatWasNotSent(t *testing.T) {
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			inUnsent(t, 4, 1, func(h *hedged) { h.Cut("a:1"); h.Cut("b:1") }, func(t *testing.T, h *hedged) {
				h.answersAfter("a:1", 100*time.Millisecond)
				h.answersAfter("c:1", 100*time.Millisecond)
				reply := ""
				require.NoError(t, way.call(h.Client, "Bank.Where", struct{}{}, &reply))
				require.Equal(t, "d:1", reply)
				require.Equal(t, []string{"attempt at a:1", "attempt at b:1", "hedge at d:1", "attempt at d:1", "call"}, h.told())
				require.EqualValues(t, 1, h.Stats().Hedges)
			})
		})
	}
}

// However fast it is, the end of a hedge waits for the hook that tells of it.
func TestHedgeIsToldOfBeforeItsEnd(t *testing.T) {
	t.Parallel()
	inRace(t, 2, func(d *rpcx.Dialer) {
		slow := rpcx.ClientTrace{Hedge: func(context.Context, rpcx.HedgeInfo) { time.Sleep(hedgeDelay) }}
		d.Trace = slow.Join(d.Trace)
	}, func(t *testing.T, h *hedged) {
		h.answersAfter("a:1", time.Second)
		require.Equal(t, map[string]int{"b:1": 1}, where(t, h.Client, 1))
		require.Equal(t, []string{"hedge at b:1", "attempt at b:1", "call"}, h.told())
	})
}

func TestCloseDuringRace(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{hedgeDelay / 2, hedgeDelay, 2 * hedgeDelay} {
		for _, way := range bothWays {
			inRace(t, 2, nil, func(t *testing.T, h *hedged) {
				time.AfterFunc(after, func() { h.Close() })
				start := time.Now()
				err := way.call(h.Client, "Bank.Sleep", time.Minute, new(string))
				require.Equal(t, rpcx.ErrShutdown, err)
				require.Equal(t, after, time.Since(start))
			})
		}
	}
}

// CloseContext waits for the call and not for the loser.
func TestCloseContextDuringRace(t *testing.T) {
	t.Parallel()
	for _, way := range bothWays {
		inRace(t, 2, nil, func(t *testing.T, h *hedged) {
			h.answersAfter("a:1", time.Hour)
			h.answersAfter("b:1", time.Second)
			start := time.Now()
			closed := make(chan error)
			time.AfterFunc(2*hedgeDelay, func() { closed <- h.CloseContext(t.Context()) })
			require.NoError(t, way.call(h.Client, "Bank.Where", struct{}{}, new(string)))
			require.NoError(t, <-closed)
			require.Equal(t, hedgeDelay+time.Second, time.Since(start))
			events := h.told()
			require.Equal(t, "attempt at a:1", events[len(events)-1])
			require.ErrorIs(t, h.ended()[1].Err, rpcx.ErrShutdown)
		})
	}
}

// Args are the caller's again when the call is over: a hedge is written before that,
// or not at all. The race detector sees one that is late.
func TestArgsAreTheCallersAgain(t *testing.T) {
	t.Parallel()
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			inRace(t, 2, func(d *rpcx.Dialer) { d.Hedge.Budget = 1; d.Retry.Budget = -1 }, func(t *testing.T, h *hedged) {
				// Answers of the first come as the hedge is written.
				h.answersAfter("a:1", hedgeDelay)
				for range 200 {
					args, reply := "mine", ""
					require.NoError(t, way.call(h.Client, "Bank.Echo", &args, &reply))
					require.Equal(t, "mine", reply)
					args = "changed"
				}
				require.NotZero(t, h.Stats().Hedges)
			})
		})
	}
}

// A reply that came late is decoded aside. The race detector sees one that is not.
func TestLoserLeavesTheReplyAlone(t *testing.T) {
	t.Parallel()
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			inRace(t, 2, nil, func(t *testing.T, h *hedged) {
				h.answersAfter("a:1", 100*time.Millisecond)
				h.answersAfter("b:1", 20*time.Millisecond)
				var reply string
				require.NoError(t, way.call(h.Client, "Bank.Where", struct{}{}, &reply))
				for range 100 {
					reply = "mine"
					time.Sleep(2 * time.Millisecond)
					require.Equal(t, "mine", reply)
				}
				require.Len(t, h.ended(), 2)
			})
		})
	}
}

// Whatever comes together, a call ends once and its reply is that of its arguments.
func TestRacesEndOnce(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Hedge = &rpcx.Hedge{Delay: 4 * time.Millisecond, Budget: 1}
		f.dialer.Methods = idempotent("*")
		f.dialer.Retry.Budget = -1
		f.dialer.Breaker.Disabled = true
		f.dialer.CallTimeout = 12 * time.Millisecond
		c := f.dial()
		defer c.Close()
		for i, a := range f.addrs {
			f.Delay(a, time.Duration(i+1)*2*time.Millisecond)
		}
		done := make(chan *rpcx.Call, 3000)
		var calls sync.WaitGroup
		for i := range 500 {
			if i%50 == 0 {
				f.Cut(f.addrs[i/50%3])
			}
			n := f.addrs[i%3] + time.Duration(i).String()
			c.Go("Bank.Echo", n, new(string), done)
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%17)*time.Millisecond)
				defer cancel()
				args, reply := n, ""
				err := c.CallContext(ctx, "Bank.Echo", &args, &reply)
				if err == nil && reply != n {
					t.Errorf("%q for %q", reply, n)
				}
				args, reply = "x", "y" // the race detector looks
			})
			if i%5 == 0 {
				time.Sleep(10 * time.Millisecond) // connections are made again meanwhile
			}
		}
		calls.Wait()
		for range 500 {
			call := <-done
			if call.Error == nil {
				require.Equal(t, call.Args, *call.Reply.(*string))
			}
			*call.Reply.(*string) = "mine"
		}
		time.Sleep(time.Minute)
		require.Empty(t, done)
		s := c.Stats()
		require.NotZero(t, s.Hedges)
		require.NotZero(t, s.HedgesWon)
		require.Less(t, s.HedgesWon, s.Hedges)
		for _, e := range s.Endpoints {
			require.Zero(t, e.InFlight)
		}
	})
}
