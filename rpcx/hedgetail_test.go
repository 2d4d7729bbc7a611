package rpcx_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/rpc"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/rpcx"
)

// Stalling is a service that takes a millisecond or two, but that at one of its
// replicas a call in a hundred takes half a second more.
type Stalling struct {
	stalls bool
	runs   *atomic.Int64 // over all replicas

	mu  sync.Mutex // protects following
	rng *rand.Rand
}

func newStalling(replica int, runs *atomic.Int64) *Stalling {
	return &Stalling{stalls: replica == 0, runs: runs, rng: rand.New(rand.NewPCG(uint64(replica), 1))} //nolint:gosec // a seed
}

func (s *Stalling) takes() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := time.Duration(math.Exp(s.rng.NormFloat64()/2) * float64(time.Millisecond))
	if s.stalls && s.rng.IntN(100) == 0 {
		d += 500 * time.Millisecond
	}
	return d
}

func (s *Stalling) Get(n int, reply *int) error {
	s.runs.Add(1)
	time.Sleep(s.takes())
	*reply = n
	return nil
}

// latencies makes calls one after another has begun, and returns what they took.
func latencies(t testing.TB, c *rpcx.Client, calls int, every time.Duration) []time.Duration {
	took := make([]time.Duration, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			start, reply := time.Now(), 0
			err := c.Call("Stalling.Get", i+1, &reply)
			took[i] = time.Since(start)
			if err != nil || reply != i+1 {
				t.Errorf("%d for %d: %v", reply, i+1, err)
			}
		})
		time.Sleep(every)
	}
	wg.Wait()
	slices.Sort(took)
	return took
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}

// stallingFleet lets n servers of Stalling listen, and returns their addresses.
func stallingFleet(f *fleet, n int, runs *atomic.Int64) (addrs []string) {
	for i := range n {
		server := rpc.NewServer()
		require.NoError(f.t, server.Register(newStalling(i, runs)))
		addr := fmt.Sprintf("stalling:%d", i)
		f.serve = func(_ *rpc.Server, c io.ReadWriteCloser) { server.ServeConn(c) }
		f.start(addr)
		f.Delay(addr, 250*time.Microsecond)
		addrs = append(addrs, addr)
	}
	return addrs
}

// The tail that one of three replicas makes is cut at the price of a twentieth. P2C
// avoids such a replica by itself; a policy that does not shows what hedging does.
func TestHedgeCutsTheTail(t *testing.T) {
	t.Parallel()
	const calls = 1500
	run := func(hedge *rpcx.Hedge) (took []time.Duration, runs int64, s rpcx.Stats) {
		inFleet(t, 0, func(t *testing.T, f *fleet) {
			var n atomic.Int64
			addrs := stallingFleet(f, 3, &n)
			f.dialer.Balancer, f.dialer.Hedge = balancer.RoundRobin(), hedge
			f.dialer.Methods = idempotent("*")
			c, err := f.dialer.Dial("tcp", addrs...)
			require.NoError(t, err)
			defer c.Close()
			time.Sleep(time.Second)
			took = latencies(t, c, calls, 500*time.Microsecond)
			time.Sleep(time.Second)
			runs, s = n.Load(), c.Stats()
		})
		return took, runs, s
	}
	without, runs, _ := run(nil)
	require.EqualValues(t, calls, runs)
	with, runs, s := run(&rpcx.Hedge{})
	extra := float64(runs)/calls - 1
	for _, q := range []float64{0.5, 0.95, 0.99, 0.999, 1} {
		t.Logf("p%-5.4g %12v without, %12v with hedging", 100*q, quantile(without, q), quantile(with, q))
	}
	t.Logf("%.2f %% extra calls; %d hedges, %d won", 100*extra, s.Hedges, s.HedgesWon)
	require.GreaterOrEqual(t, quantile(without, 0.999), 5*quantile(with, 0.999))
	require.LessOrEqual(t, extra, 0.05)
	require.EqualValues(t, runs-calls, s.Hedges)
}

// BenchmarkHedge is the same over loopback TCP and in real time, with 500 calls a
// second.
func BenchmarkHedge(b *testing.B) {
	for _, c := range []struct {
		name   string
		policy balancer.Policy
		hedge  *rpcx.Hedge
	}{
		{"round-robin/off", balancer.RoundRobin(), nil},
		{"round-robin/on", balancer.RoundRobin(), &rpcx.Hedge{}},
		{"P2C/off", balancer.P2C(), nil},
		{"P2C/on", balancer.P2C(), &rpcx.Hedge{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var runs atomic.Int64
			var addrs []string
			for replica := range 3 {
				server := rpc.NewServer()
				require.NoError(b, server.Register(newStalling(replica, &runs)))
				lis, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(b, err)
				defer lis.Close()
				go server.Accept(lis)
				addrs = append(addrs, lis.Addr().String())
			}
			d := rpcx.Dialer{Hedge: c.hedge, Balancer: c.policy, Methods: idempotent("*")}
			client, err := d.Dial("tcp", addrs...)
			require.NoError(b, err)
			defer client.Close()
			took := latencies(b, client, b.N, 2*time.Millisecond)
			for name, q := range map[string]float64{"p50-ms": 0.5, "p99-ms": 0.99, "p99.9-ms": 0.999, "longest-ms": 1} {
				b.ReportMetric(float64(quantile(took, q))/1e6, name)
			}
			b.ReportMetric(100*(float64(runs.Load())/float64(b.N)-1), "extra-%")
			b.ReportMetric(0, "ns/op")
		})
	}
}
