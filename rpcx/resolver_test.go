package rpcx_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

func TestDialWaitsForTheResolver(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		news, sets := f.news(), make(feed)
		f.dialer.Resolver = sets
		begin := time.Now()
		go func() {
			time.Sleep(time.Second)
			sets <- said{err: errors.New("no such host")}
			sets <- said{set: []rpcx.Endpoint{}}
			sets <- said{set: setOf("")}
			time.Sleep(3 * time.Second)
			sets <- said{set: setOf(f.addrs...)}
		}()
		c, err := f.dialer.Dial("tcp")
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, 4*time.Second, time.Since(begin).Truncate(time.Second))
		require.Len(t, where(t, c, 100), 2)
		require.Len(t, news.all(), 4)
		require.EqualError(t, news.all()[0].Err, "no such host")
		require.ErrorContains(t, news.all()[1].Err, "empty")
		require.ErrorContains(t, news.all()[2].Err, "without an address")
		require.Equal(t, rpcx.ResolvedInfo{Added: 2}, news.last())
	})
}

func TestDialWithoutASet(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		sets := make(feed)
		f.dialer.Resolver = sets
		begin := time.Now()
		go func() { sets <- said{err: errors.New("no such host")} }()
		_, err := f.dialer.Dial("tcp")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the resolver has named no endpoints")
		require.ErrorContains(t, err, "no such host")
		require.Equal(t, 10*time.Second, time.Since(begin))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = f.dialer.DialContext(ctx, "tcp")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 11*time.Second, time.Since(begin))

		close(sets)
		_, err = f.dialer.Dial("tcp")
		require.EqualError(t, err, "rpcx: the resolver has given up: the registry is gone")

		f.dialer.Resolver = rpcx.Static(rpcx.Endpoint{Address: "nobody:1"})
		_, err = f.dialer.Dial("tcp")
		require.ErrorContains(t, err, "refused")
		_, err = f.dialer.Dial("tcp", "a:1")
		require.ErrorContains(t, err, "Dialer.Resolver is set beside addresses")
	})
}

func TestStaticResolver(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.dialer.Resolver = rpcx.Static(
			rpcx.Endpoint{Address: "a:1", Metadata: map[string]string{"zone": "north"}},
			rpcx.Endpoint{Address: "b:1", Priority: 1})
		c, err := f.dialer.Dial("tcp")
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, map[string]int{"a:1": 50}, where(t, c, 50))
		stats := c.Stats()
		require.Equal(t, 2, stats.Listed)
		require.Equal(t, "north", stats.Endpoints[0].Metadata["zone"])
		require.Equal(t, 1, stats.Endpoints[1].Priority)

		f.kill("a:1")
		require.NoError(t, c.CallContext(rpcx.WithIdempotent(t.Context()), "Bank.Where", struct{}{}, new(string)))
		require.Equal(t, map[string]int{"b:1": 50}, where(t, c, 50))
		f.Resume("a:1")
		time.Sleep(10 * time.Second)
		require.Equal(t, map[string]int{"a:1": 50}, where(t, c, 50))
	})
}

// What stays keeps what it has; what comes is connected before a call needs it.
func TestEndpointsComeAndGo(t *testing.T) {
	t.Parallel()
	inFleet(t, 4, func(t *testing.T, f *fleet) {
		news := f.news()
		var logged logbook
		f.dialer.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		c, sets := f.resolve("a:1", "b:1", "c:1")
		defer c.Close()
		time.Sleep(10 * time.Second)
		where(t, c, 300)
		f.kill("c:1")
		before := c.Stats().Endpoints
		require.NotZero(t, before[1].Latency)

		sets.say("d:1", "c:1", "b:1")
		require.Equal(t, rpcx.ResolvedInfo{Added: 1, Removed: 1, Kept: 2}, news.last())
		require.Contains(t, logged.String(), `msg="endpoints resolved" added=1 removed=1 kept=2`)
		require.Equal(t, []string{"d:1", "c:1", "b:1"}, addresses(c))
		after := c.Stats().Endpoints
		require.Equal(t, before[1].Picks, after[2].Picks)
		require.Equal(t, before[1].Latency, after[2].Latency)
		require.Equal(t, before[2].State, after[1].State, "its breaker is open")
		time.Sleep(2500 * time.Millisecond)
		require.Zero(t, f.Open("a:1"))
		require.Equal(t, 1, f.Open("d:1"))
		require.Equal(t, 2, f.Dials("b:1"), "one of them to ask how pings are taken")
		require.Equal(t, 3, c.Live())

		share := where(t, c, 200)
		require.Less(t, share["d:1"], 70, "slow start")
		require.Zero(t, share["a:1"])
		time.Sleep(15 * time.Second)
		require.InDelta(t, 100, where(t, c, 200)["d:1"], 40)

		sets.say("a:1", "b:1")
		require.Equal(t, rpcx.ResolvedInfo{Added: 1, Removed: 2, Kept: 1}, news.last())
		time.Sleep(time.Minute)
		require.Equal(t, 2, c.Live())
		require.Equal(t, 4, f.Dials("a:1"), "it returned")
	})
}

// An endpoint that leaves gives its calls all the time they need, and no new ones.
func TestLeavingEndpointFinishesItsCalls(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c, sets := f.resolve("a:1")
		defer c.Close()
		slow := c.Go("Bank.Sleep", 4*time.Minute, new(string), nil)
		sets.say("b:1")
		require.Equal(t, map[string]int{"b:1": 100}, where(t, c, 100))
		time.Sleep(2 * time.Minute)
		require.Empty(t, slow.Done)
		require.Equal(t, 1, f.Open("a:1"))
		require.Equal(t, 2, c.Live())
		<-slow.Done
		require.NoError(t, slow.Error)
		time.Sleep(time.Second)
		require.Zero(t, f.Open("a:1"))
		require.Equal(t, 1, c.Live(), "its prober has ended")
		require.Equal(t, 2, f.Dials("a:1"), "one of them to ask how pings are taken")
	})
}

// Nobody hangs on a peer that dies while it drains.
func TestLeavingEndpointIsWatched(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c, sets := f.resolve("a:1")
		defer c.Close()
		time.Sleep(20 * time.Second)
		slow := c.Go("Bank.Sleep", time.Hour, new(string), nil)
		sets.say("b:1")
		time.Sleep(time.Minute)
		f.Stall("a:1")
		begin := time.Now()
		<-slow.Done
		require.ErrorIs(t, slow.Error, rpcx.ErrUnresponsive)
		require.Less(t, time.Since(begin), 10*time.Second)
		time.Sleep(time.Second)
		require.Equal(t, 1, c.Live())
	})
}

// Close ends the calls of endpoints that have left, too.
func TestCloseEndsLeavingEndpoints(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c, sets := f.resolve("a:1")
		slow := c.Go("Bank.Sleep", time.Hour, new(string), nil)
		sets.say("b:1")
		require.NoError(t, c.Close())
		<-slow.Done
		require.Equal(t, rpcx.ErrShutdown, slow.Error)
		time.Sleep(time.Second)
		require.Zero(t, f.Open("b:1"))
	})
}

// A connection that is on its way when its endpoint leaves is not kept.
func TestEndpointLeavesWhileItIsDialed(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.Delay("a:1", 500*time.Millisecond)
		c, sets := f.resolve("a:1", "b:1") // b:1 is there first
		defer c.Close()
		sets.say("b:1")
		time.Sleep(5 * time.Second)
		require.Equal(t, 1, f.Dials("a:1"))
		require.Zero(t, f.Open("a:1"))
		require.Equal(t, 1, c.Live())
		require.Len(t, where(t, c, 50), 1)
	})
}

func TestSetsThatAreRefused(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		news := f.news()
		c, sets := f.resolve(f.addrs...)
		defer c.Close()
		for want, set := range map[string][]rpcx.Endpoint{
			`"c:1" is listed twice`:      setOf("c:1", "b:1", "c:1"),
			"an endpoint without an add": setOf("c:1", ""),
			`Weight of "c:1" is -1`:      {{Address: "c:1", Weight: -1}},
			`Weight of "c:1" is 1000001`: {{Address: "c:1", Weight: 1_000_001}},
		} {
			sets.saySet(set, nil)
			require.Zero(t, news.last().Added+news.last().Removed)
			require.Equal(t, 2, news.last().Kept)
			require.ErrorContains(t, news.last().Err, want)
			require.Len(t, where(t, c, 100), 2)
		}
	})
}

func TestFailingResolver(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		news := f.news()
		var logged logbook
		f.dialer.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		c, sets := f.resolve(f.addrs...)
		defer c.Close()
		failure := errors.New("SERVFAIL")
		sets.saySet(nil, failure)
		require.Equal(t, rpcx.ResolvedInfo{Kept: 2, Err: failure}, news.last())
		require.Contains(t, logged.String(), `level=WARN msg="endpoints not resolved" kept=2 err=SERVFAIL`)
		close(sets)
		synctest.Wait()
		require.EqualError(t, news.last().Err, "rpcx: the resolver has given up: the registry is gone")
		time.Sleep(time.Hour)
		require.Len(t, where(t, c, 100), 2)
	})
}

func TestEmptySet(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		news := f.news()
		c, sets := f.resolve(f.addrs...)
		defer c.Close()
		sets.say()
		require.Equal(t, 2, news.last().Kept)
		require.EqualError(t, news.last().Err, "rpcx: the resolver's set is empty; the last one is kept for 5m0s")
		time.Sleep(4 * time.Minute)
		where(t, c, 10)
		sets.say(f.addrs...)
		time.Sleep(time.Hour)
		require.Equal(t, rpcx.ResolvedInfo{Kept: 2}, news.last())

		sets.say()
		time.Sleep(4 * time.Minute)
		sets.say() // again is not anew
		where(t, c, 10)
		time.Sleep(61 * time.Second)
		require.Equal(t, rpcx.ResolvedInfo{Removed: 2}, news.last())
		require.Zero(t, c.Live())
		require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), rpcx.ErrUnavailable)
		sets.say()
		require.EqualError(t, news.last().Err, "rpcx: the resolver's set is empty")
		heard := len(news.all())
		time.Sleep(time.Hour)
		require.Len(t, news.all(), heard)
		sets.say("a:1")
		where(t, c, 10)
	})
}

// After an error it is not known whether the set is empty: the 5 minutes begin with the next
// answer. An invalid set is not empty.
func TestEmptySetBeforeAnError(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]said{
		"error": {err: errors.New("the name server does not answer")}, "invalid set": {set: setOf("a:1", "")}, "double": {set: setOf("a:1", "a:1")},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				news := f.news()
				c, sets := f.resolve(f.addrs...)
				defer c.Close()
				sets.say()
				time.Sleep(time.Minute)
				sets.saySet(between.set, between.err)
				time.Sleep(6 * time.Minute)
				require.Equal(t, 2, news.last().Kept)
				require.Len(t, where(t, c, 100), 2)
				sets.say() // as a failure has ended
				time.Sleep(4*time.Minute + 59*time.Second)
				require.Len(t, where(t, c, 100), 2)
				time.Sleep(2 * time.Second)
				require.Equal(t, rpcx.ResolvedInfo{Removed: 2}, news.last())
			})
		})
	}
}

func TestWeightsChange(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c, sets := f.resolve(f.addrs...)
		defer c.Close()
		sets.saySet([]rpcx.Endpoint{{Address: "a:1", Weight: 9}, {Address: "b:1"}}, nil)
		require.InDelta(t, 900, where(t, c, 1000)["a:1"], 60)
		sets.saySet([]rpcx.Endpoint{{Address: "a:1", Weight: 1}, {Address: "b:1", Weight: 3}}, nil)
		require.InDelta(t, 250, where(t, c, 1000)["a:1"], 60)
	})
}
