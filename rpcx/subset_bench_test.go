package rpcx_test

import (
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/rpcx"
)

// BenchmarkSet replaces 1,000 of 10,000 endpoints under load, and reports the time of
// the slowest but one thousandth of the calls, picks and all. The baseline is the
// balancer's part of it, without a client.
func BenchmarkSet(b *testing.B) {
	const n, changed = 10_000, 1000
	set := setOf(many("a", n)...)
	i := 0
	change := func() {
		for range changed {
			set[i%n].Address += "'"
			i++
		}
	}
	b.Run("balancer", func(b *testing.B) {
		lb, err := balancer.New(balancer.Config{})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			change()
			members := make([]balancer.Endpoint, n)
			for i := range set {
				members[i].ID = set[i].Address
			}
			if err := lb.Update(time.Now(), members); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("client", func(b *testing.B) {
		sets, d := make(feed), unreal()
		resolved := make(chan error, 1)
		d.Resolver = sets
		d.Trace = &rpcx.ClientTrace{Resolved: func(i rpcx.ResolvedInfo) { resolved <- i.Err }}
		go func() { sets <- said{set: slices.Clone(set)} }()
		c, err := d.Dial("tcp")
		if err != nil || <-resolved != nil {
			b.Fatal(err)
		}
		stop, slowest := make(chan struct{}), make(chan time.Duration)
		go callUntil(b, c, stop, slowest)
		for b.Loop() {
			change()
			sets <- said{set: slices.Clone(set)}
			if err := <-resolved; err != nil {
				b.Fatal(err)
			}
		}
		close(stop)
		b.ReportMetric(float64(<-slowest), "ns/slowest-call")
		c.Close()
	})
}

// callUntil calls without pause and then sends how long the slowest of 99.9 % of its
// calls took: the rest is what the scheduler and the collector do.
func callUntil(b *testing.B, c caller, stop <-chan struct{}, slowest chan<- time.Duration) {
	var took []time.Duration
	for {
		select {
		case <-stop:
			slices.Sort(took)
			slowest <- took[len(took)*999/1000]
			return
		default:
		}
		begin := time.Now()
		var reply int
		if err := c.Call("Service.Method", 1, &reply); err != nil || reply != 42 {
			b.Error(reply, err)
		}
		if len(took) < 1<<20 {
			took = append(took, time.Since(begin))
		}
	}
}

// footprint returns the bytes and the goroutines of the process.
func footprint() (uint64, int) {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse, runtime.NumGoroutine()
}

// BenchmarkIdle reports what an endpoint costs while nothing is called, in memory and
// goroutines: one that the client uses, connected to a listener that accepts nothing, and one
// outside of its subset.
func BenchmarkIdle(b *testing.B) {
	b.Run("connected", func(b *testing.B) {
		const n = 100
		var addrs []string
		for range n {
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer lis.Close()
			addrs = append(addrs, lis.Addr().String())
		}
		idle(b, &rpcx.Dialer{Heartbeat: time.Hour, Subset: -1}, addrs, n)
	})
	b.Run("outside", func(b *testing.B) {
		d := unreal()
		d.Heartbeat, d.Subset = time.Hour, 1
		idle(b, &d, many("a", 10_000), 1)
	})
}

func idle(b *testing.B, d *rpcx.Dialer, addrs []string, inUse int) {
	for b.Loop() {
		bytes, goroutines := footprint()
		client, err := d.Dial("tcp", addrs...)
		if err != nil {
			b.Fatal(err)
		}
		for connected := 0; connected < inUse; {
			connected = 0
			for _, e := range client.Stats().Endpoints {
				if e.Connected {
					connected++
				}
			}
			runtime.Gosched()
		}
		moreBytes, moreGoroutines := footprint()
		b.ReportMetric(float64(int64(moreBytes)-int64(bytes))/float64(len(addrs)), "B/endpoint")
		b.ReportMetric(float64(moreGoroutines-goroutines)/float64(len(addrs)), "goroutines/endpoint")
		client.Close()
	}
}
