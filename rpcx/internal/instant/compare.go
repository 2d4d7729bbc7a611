package instant

import (
	"math"
	"testing"
	"time"

	"resilientrpc/rpcx"
)

// Client dials such a server. The client ends with the test.
func Client(tb testing.TB, trace *rpcx.ClientTrace) *rpcx.Client {
	tb.Helper()
	d := rpcx.Dialer{Codec: NewCodec, NetDial: Dial, Trace: trace}
	c, err := d.Dial("tcp", "a:1")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// Call makes one call and checks the reply.
func Call(tb testing.TB, c *rpcx.Client) {
	var reply int
	if err := c.Call("Service.Method", 1, &reply); err != nil || reply != 42 {
		tb.Fatal(reply, err)
	}
}

// Extra reports how much longer a call takes with a trace than with none, as
// "extra-ns/op" beside the price of the latter as "base-ns/op". The two take turns
// in short blocks, of which the quickest counts: what else the machine does hits
// both, and is not measured.
func Extra(b *testing.B, trace *rpcx.ClientTrace) {
	b.Helper()
	const block = 200
	base, with := Client(b, nil), Client(b, trace)
	quickest := map[*rpcx.Client]time.Duration{base: time.Hour, with: time.Hour}
	for b.Loop() {
		for c, least := range quickest { // in random order
			begin := time.Now()
			for range block {
				Call(b, c)
			}
			quickest[c] = min(least, time.Since(begin))
		}
	}
	ns := func(c *rpcx.Client) float64 { return float64(quickest[c].Nanoseconds()) / block }
	b.ReportMetric(ns(base), "base-ns/op")
	b.ReportMetric(ns(with)-ns(base), "extra-ns/op")
	b.ReportMetric(allocs(b, with)-allocs(b, base), "extra-allocs/op")
	b.ReportMetric(0, "ns/op") // of blocks: it says nothing
}

// ExtraAllocs returns how many more allocations a call makes with a trace than with
// none.
func ExtraAllocs(tb testing.TB, trace *rpcx.ClientTrace) float64 {
	tb.Helper()
	return allocs(tb, Client(tb, trace)) - allocs(tb, Client(tb, nil))
}

// allocs is the least of several runs: others allocate meanwhile, and the race detector
// has every sync.Pool lose things.
func allocs(tb testing.TB, c *rpcx.Client) float64 {
	least := math.Inf(1)
	for range 10 {
		least = min(least, testing.AllocsPerRun(100, func() { Call(tb, c) }))
	}
	return least
}
