package rpcx_test

import (
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/instant"
)

func TestStatsOfCalls(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.Delay("b:1", 10*time.Millisecond)
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second) // all are connected
		where(t, c, 100)
		slow := c.Go("Bank.Sleep", time.Minute, new(string), nil)
		synctest.Wait()
		s := c.Stats()
		require.Equal(t, time.Now(), s.At)
		require.Equal(t, 1, s.InFlight)
		require.InDelta(t, 10.1, s.Budget, .001, "of 101 calls in less than ten seconds")
		require.Equal(t, 2, s.Listed)
		var share float64
		for _, e := range s.Endpoints {
			took := roundTrip
			if e.Address == "b:1" {
				took = 20 * time.Millisecond
			}
			for _, q := range []time.Duration{e.P50, e.P95, e.P99} {
				require.GreaterOrEqual(t, q, took, e.Address)
				require.LessOrEqual(t, q, took+took/8, e.Address)
			}
			require.Equal(t, 1, e.Conns)
			require.InDelta(t, float64(e.Picks)/100, e.Share, .02)
			require.Positive(t, e.Share)
			share += e.Share
			require.Greater(t, e.BytesRead, 10*e.Picks)
			require.Greater(t, e.BytesWritten, 10*e.Picks)
			require.EqualValues(t, e.Picks-uint64(e.InFlight), e.Window.Calls)
			require.Zero(t, e.Window.Failures)
		}
		require.InDelta(t, 1, share, 1e-9)
		require.NoError(t, (<-slow.Done).Error)
		time.Sleep(2 * time.Minute)
		for _, e := range c.Stats().Endpoints {
			require.Zero(t, e.P99, "it is long ago")
			require.Zero(t, e.Share)
		}
	})
}

// What a connection has carried stays counted when it is over.
func TestStatsOfALostEndpoint(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Retry.MaxAttempts = -1 // the call waits for nothing
		c := f.dial()
		defer c.Close()
		where(t, c, 10)
		before := c.Stats().Endpoints[0]
		start := time.Now()
		f.kill("a:1")
		require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
		s := c.Stats().Endpoints[0]
		require.Equal(t, breaker.Open, s.State)
		require.WithinRange(t, s.Since, start, time.Now())
		require.Equal(t, s.Since, s.DownSince)
		require.Positive(t, s.RetryAfter)
		require.EqualValues(t, 1, s.Trips)
		require.Error(t, s.Cause)
		require.Zero(t, s.Conns)
		require.False(t, s.Connected)
		require.GreaterOrEqual(t, s.BytesRead, before.BytesRead)
		require.GreaterOrEqual(t, s.BytesWritten, before.BytesWritten)
	})
}

// An endpoint is down since it took calls last, however often it was probed since.
func TestStatsOfHowLongAnEndpointIsDown(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		where(t, c, 10)
		require.Zero(t, c.Stats().Endpoints[0].DownSince)
		require.NotContains(t, c.Stats().String(), "DownSince", "it is left out of the JSON")
		start := time.Now()
		f.kill("a:1")
		time.Sleep(10 * time.Minute)
		s := c.Stats().Endpoints[0]
		require.Greater(t, s.Trips, uint64(10), "it was probed")
		require.WithinRange(t, s.DownSince, start, start.Add(time.Second))
		require.NotEqual(t, s.Since, s.DownSince)
		f.Resume("a:1")
		time.Sleep(time.Minute)
		require.Zero(t, c.Stats().Endpoints[0].DownSince)
	})
}

func TestStatsWithoutABudget(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Retry.Budget = -1
		c := f.dial()
		defer c.Close()
		require.EqualValues(t, -1, c.Stats().Budget)
	})
}

// encoding/json would write an error as {} and a state as a number.
func TestStatsAsJSON(t *testing.T) {
	s := rpcx.Stats{Calls: 7, Endpoints: []rpcx.EndpointStats{
		{Address: "a:1", State: breaker.HalfOpen, Cause: errors.New(`<script>"`), P99: time.Millisecond},
		{Address: "b:1"},
	}}
	var got struct {
		Calls     int
		Endpoints []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(s.String()), &got))
	require.Equal(t, 7, got.Calls)
	require.Equal(t, "a:1", got.Endpoints[0]["Address"])
	require.Equal(t, "half-open", got.Endpoints[0]["State"])
	require.Equal(t, `<script>"`, got.Endpoints[0]["Cause"])
	require.EqualValues(t, 1e6, got.Endpoints[0]["P99"])
	require.Equal(t, "closed", got.Endpoints[1]["State"])
	require.NotContains(t, got.Endpoints[1], "Cause")
	require.NotContains(t, s.String(), "<script>")
}

func ExampleClient_Stats() {
	client := rpcx.NewClientWithCodec(instant.NewCodec(nil)) // or rpcx.Dial
	defer client.Close()
	expvar.Publish("calc", expvar.Func(func() any { return client.Stats() })) // at /debug/vars
	var reply int
	if err := client.Call("Service.Method", 1, &reply); err != nil {
		panic(err)
	}
	s := client.Stats()
	fmt.Println(s.Calls, "calls,", s.Failures, "failed;", s.Endpoints[0].State)
	// Output: 1 calls, 0 failed; disabled
}

// BenchmarkStats is the cost of a snapshot of many endpoints, all of which have had
// calls.
func BenchmarkStats(b *testing.B) {
	for _, n := range []int{3, 1000, 10_000} {
		b.Run(fmt.Sprint(n, " endpoints"), func(b *testing.B) {
			d := rpcx.Dialer{Codec: instant.NewCodec, NetDial: instant.Dial, Heartbeat: -1, Subset: -1}
			c, err := d.Dial("tcp", many("a", n)...)
			require.NoError(b, err)
			defer c.Close()
			for range 20 * n {
				var reply int
				require.NoError(b, c.Call("Service.Method", 1, &reply))
			}
			b.ReportAllocs()
			for b.Loop() {
				if s := c.Stats(); len(s.Endpoints) != n {
					b.Fatal(len(s.Endpoints))
				}
			}
		})
	}
}
