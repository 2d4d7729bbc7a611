package rpcx_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/instant"
)

// inOrder is a policy whose first choice is the first endpoint, or the last.
type inOrder struct{ reverse *atomic.Bool }

func (p inOrder) Picker(v *balancer.View) balancer.Picker { return orderPicker{p, v} }

type orderPicker struct {
	inOrder
	view *balancer.View
}

func (p orderPicker) Pick(_ time.Time, in balancer.PickInfo) *balancer.Node {
	nodes := slices.Clone(p.view.Nodes())
	if p.reverse.Load() {
		slices.Reverse(nodes)
	}
	for _, n := range nodes {
		if !in.Tried(n) {
			return n
		}
	}
	return nil
}

// hedged is a client whose calls go to "a:1" first and are hedged after 10 ms, and
// what its hooks told.
type hedged struct {
	*fleet
	*rpcx.Client

	reverse atomic.Bool // calls go to the last first

	mu       sync.Mutex // protects following
	events   []string
	attempts []rpcx.AttemptInfo
	hedges   []rpcx.HedgeInfo
	failed   error // of the last call, with all that is known of it
}

const hedgeDelay = 10 * time.Millisecond

// inRace runs f with a client of n endpoints, which answer after 2 ms.
func inRace(t *testing.T, n int, change func(*rpcx.Dialer), f func(*testing.T, *hedged)) {
	t.Helper()
	inFleet(t, n, func(t *testing.T, fl *fleet) {
		h := &hedged{fleet: fl}
		fl.dialer.Hedge = &rpcx.Hedge{Delay: hedgeDelay}
		fl.dialer.Balancer = inOrder{&h.reverse}
		fl.dialer.Heartbeat = -1
		fl.dialer.Methods = idempotent("*")
		fl.dialer.Trace = &rpcx.ClientTrace{
			AttemptDone: func(_ context.Context, i rpcx.AttemptInfo) {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.attempts = append(h.attempts, i)
				h.events = append(h.events, "attempt at "+i.Endpoint)
			},
			Hedge: func(_ context.Context, i rpcx.HedgeInfo) {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.hedges = append(h.hedges, i)
				h.events = append(h.events, "hedge at "+i.Endpoint)
			},
			CallDone: func(_ context.Context, i rpcx.CallInfo) {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.events = append(h.events, "call")
				h.failed = i.Err
			},
		}
		if change != nil {
			change(&fl.dialer)
		}
		h.Client = fl.dial()
		defer h.Client.Close()
		synctest.Wait()
		f(t, h)
	})
}

// answersAfter sets how long an endpoint takes to answer.
func (h *hedged) answersAfter(addr string, d time.Duration) { h.Delay(addr, d/2) }

// told returns what the hooks have told, and forgets it.
func (h *hedged) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.events
	h.events = nil
	return events
}

// ended returns the attempts that have.
func (h *hedged) ended() []rpcx.AttemptInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.attempts)
}

// A way is one of the ways to make a call.
type way struct {
	name string
	call func(c *rpcx.Client, method string, args, reply any) error
}

var bothWays = []way{
	{"Call", (*rpcx.Client).Call},
	{"Go", func(c *rpcx.Client, method string, args, reply any) error {
		return (<-c.Go(method, args, reply, nil).Done).Error
	}},
}

func TestHedge(t *testing.T) {
	t.Parallel()
	const slow, slower = 500 * time.Millisecond, 800 * time.Millisecond
	for _, c := range []struct {
		name   string
		a, b   time.Duration // until they answer
		during func(*hedged) // 100 ms after the call has begun
		method string
		args   any
		want   string // reply
		err    string
		took   time.Duration
		events []string // until the call is over, and until all is
		won    uint64
	}{
		{
			name: "the first answers in time", a: 9 * time.Millisecond, b: 2 * time.Millisecond,
			want: "a:1", took: 9 * time.Millisecond, events: []string{"attempt at a:1", "call"},
		},
		{
			name: "the second wins", a: slow, b: 2 * time.Millisecond,
			want: "b:1", took: hedgeDelay + 2*time.Millisecond,
			events: []string{"hedge at b:1", "attempt at b:1", "call", "attempt at a:1"}, won: 1,
		},
		{
			name: "the first wins", a: slow, b: slow,
			want: "a:1", took: slow, events: []string{"hedge at b:1", "attempt at a:1", "call", "attempt at b:1"},
		},
		{
			name: "the first fails", a: slow, b: slower, during: func(h *hedged) { h.Cut("a:1") },
			want: "b:1", took: hedgeDelay + slower, events: []string{"hedge at b:1", "attempt at a:1", "attempt at b:1", "call"}, won: 1,
		},
		{
			name: "the second fails", a: slower, b: slow, during: func(h *hedged) { h.Cut("b:1") },
			want: "a:1", took: slower, events: []string{"hedge at b:1", "attempt at b:1", "attempt at a:1", "call"},
		},
		{
			name: "an error of the second is not the end", a: slow, b: 2 * time.Millisecond, method: "Bank.Refuse", args: "no",
			err: "no", took: slow, events: []string{"hedge at b:1", "attempt at b:1", "attempt at a:1", "call"},
		},
		{
			name: "an error of the method is an answer", a: slow, b: slower, method: "Bank.Refuse", args: "no",
			err: "no", took: slow, events: []string{"hedge at b:1", "attempt at a:1", "call", "attempt at b:1"},
		},
		{
			name: "both fail", a: slow, b: slow, during: func(h *hedged) { h.Refuse("a:1"); h.Refuse("b:1"); h.Cut("a:1"); h.Cut("b:1") },
			err: "connection reset by peer", took: 100 * time.Millisecond,
		},
	} {
		for _, way := range bothWays {
			t.Run(c.name+"/"+way.name, func(t *testing.T) {
				inRace(t, 2, func(d *rpcx.Dialer) { d.Retry.MaxAttempts = -1 }, func(t *testing.T, h *hedged) {
					h.answersAfter("a:1", c.a)
					h.answersAfter("b:1", c.b)
					if c.during != nil {
						time.AfterFunc(100*time.Millisecond, func() { c.during(h) })
					}
					if c.method == "" {
						c.method, c.args = "Bank.Where", struct{}{}
					}
					var reply string
					into := any(&reply)
					if c.method == "Bank.Refuse" {
						into = new(struct{})
					}
					start := time.Now()
					err := way.call(h.Client, c.method, c.args, into)
					require.Equal(t, c.took, time.Since(start))
					require.Equal(t, c.want, reply)
					if c.err != "" {
						require.ErrorContains(t, err, c.err)
					} else {
						require.NoError(t, err)
					}
					time.Sleep(time.Second)
					require.Equal(t, c.won, h.Stats().HedgesWon)
					if c.events != nil {
						require.Equal(t, c.events, h.told())
					} else {
						ce := callError(t, h.failed)
						require.Equal(t, rpcx.MaybeSent, ce.Sent)
						require.Equal(t, 2, ce.Attempts)
					}
					require.Equal(t, c.want, reply, "the loser has left it alone")
					for _, e := range h.Stats().Endpoints {
						require.Zero(t, e.InFlight)
					}
				})
			})
		}
	}
}

// An attempt that came late has reported its own end.
func TestLoserCounts(t *testing.T) {
	t.Parallel()
	inRace(t, 2, nil, func(t *testing.T, h *hedged) {
		h.answersAfter("a:1", time.Second)
		require.Equal(t, map[string]int{"b:1": 1}, where(t, h.Client, 1))
		s := h.Stats()
		require.Equal(t, 1, s.Endpoints[0].InFlight, "it is not cut")
		time.Sleep(2 * time.Second)
		s = h.Stats()
		require.EqualValues(t, 1, s.Hedges)
		require.EqualValues(t, 1, s.Calls)
		require.Zero(t, s.Endpoints[0].InFlight)
		require.True(t, s.Endpoints[0].Connected)
		require.Equal(t, []rpcx.HedgeInfo{{Method: "Bank.Where", Attempt: 2, Endpoint: "b:1", First: "a:1", Delay: hedgeDelay}}, h.hedges)
		attempts := h.ended()
		late := attempts[1]
		require.Equal(t, "a:1", late.Endpoint)
		require.Equal(t, time.Second, late.Duration)
		require.Equal(t, 1, late.Attempt)
		require.NoError(t, late.Err)
		require.False(t, late.Hedge)
		require.True(t, attempts[0].Hedge)
		require.Equal(t, 2, attempts[0].Attempt)

		where(t, h.Client, 1)
		time.Sleep(2 * time.Second)
		require.InDelta(t, time.Second, h.Stats().Endpoints[0].Latency, float64(100*time.Millisecond), "after two of them")
	})
}

// A server that answers pings and no calls is found out although hedges hide it.
func TestLoserOpensTheBreaker(t *testing.T) {
	t.Parallel()
	for _, way := range bothWays {
		t.Run(way.name, func(t *testing.T) {
			inRace(t, 2, func(d *rpcx.Dialer) {
				d.Hedge.Budget = 1
				d.Retry.Budget = -1
				d.CallTimeout = time.Second
				d.Breaker = breaker.Config{}
			}, func(t *testing.T, h *hedged) {
				h.answersAfter("a:1", time.Hour)
				for range 100 {
					require.NoError(t, way.call(h.Client, "Bank.Where", struct{}{}, new(string)))
					time.Sleep(100 * time.Millisecond)
				}
				require.NotEqual(t, breaker.Closed, h.Stats().Endpoints[0].State)
				require.Less(t, h.Stats().Hedges, uint64(50))
			})
		})
	}
}

// A client that hedges costs nothing where it does not.
func TestHedgerAllocatesNothingForOthers(t *testing.T) {
	allocs := func(hedge *rpcx.Hedge) float64 {
		d := rpcx.Dialer{Codec: instant.NewCodec, NetDial: instant.Dial, Hedge: hedge}
		c, err := d.Dial("tcp", "a:1", "b:1")
		require.NoError(t, err)
		defer c.Close()
		return testing.AllocsPerRun(1000, func() { instant.Call(t, c) })
	}
	require.Equal(t, allocs(nil), allocs(&rpcx.Hedge{Delay: time.Hour}))
}

func TestHedgeAfterTheLivePercentile(t *testing.T) {
	t.Parallel()
	inRace(t, 2, func(d *rpcx.Dialer) { d.Hedge = &rpcx.Hedge{} }, func(t *testing.T, h *hedged) {
		h.answersAfter("a:1", 4*time.Millisecond)
		where(t, h.Client, 100)
		h.answersAfter("a:1", time.Second)
		start := time.Now()
		require.Equal(t, map[string]int{"b:1": 1}, where(t, h.Client, 1))
		took := time.Since(start) - 2*time.Millisecond
		require.GreaterOrEqual(t, took, 4*time.Millisecond)
		require.LessOrEqual(t, took, 4*time.Millisecond*9/8)
		require.Equal(t, took, h.hedges[0].Delay)
	})
}

func TestBadHedgesAreRefused(t *testing.T) {
	for want, hedge := range map[string]rpcx.Hedge{
		"Dialer.Hedge.Delay is -1ns":  {Delay: -1},
		"Dialer.Hedge.Budget is -0.1": {Budget: -0.1},
		"Dialer.Hedge.Budget is NaN":  {Budget: math.NaN()},
		"Dialer.Hedge.Budget is 1.5":  {Budget: 1.5},
	} {
		d := rpcx.Dialer{Hedge: &hedge}
		_, err := d.Dial("tcp", "a:1")
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "leave Dialer.Hedge nil")
	}
}
