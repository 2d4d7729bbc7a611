package balancer_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// turns is the baseline: a round robin that learns nothing.
type turns struct {
	next  atomic.Uint64
	nodes []*balancer.Node
}

func (t *turns) pick() *balancer.Node { return t.nodes[t.next.Add(1)%uint64(len(t.nodes))] }

func BenchmarkBaselineAtomicRoundRobin(b *testing.B) {
	for _, n := range []int{3, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rr := &turns{nodes: fleetOf(b, n, balancer.Config{}).Nodes()}
			var node *balancer.Node
			for b.Loop() {
				node = rr.pick()
			}
			require.NotNil(b, node)
		})
	}
}

// sampled is another baseline: the better of two nodes by calls in flight, with
// a copy and a closure for each pick, in the shape of grpc-go's least_request.
type sampled struct{ nodes []counted }

type counted struct {
	node     *balancer.Node
	inflight *atomic.Int32
}

func (s *sampled) pick() (*balancer.Node, func()) {
	var best *counted
	for range 2 {
		drawn := s.nodes[rand.Uint32()%uint32(len(s.nodes))]
		if best == nil || drawn.inflight.Load() < best.inflight.Load() {
			best = &drawn
		}
	}
	best.inflight.Add(1)
	return best.node, func() { best.inflight.Add(-1) }
}

func BenchmarkBaselineSampledClosure(b *testing.B) {
	for _, n := range []int{3, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := &sampled{}
			for _, node := range fleetOf(b, n, balancer.Config{}).Nodes() {
				s.nodes = append(s.nodes, counted{node, new(atomic.Int32)})
			}
			b.ReportAllocs()
			for b.Loop() {
				node, done := s.pick()
				if node == nil {
					b.Fatal("no node")
				}
				done()
			}
			for _, c := range s.nodes {
				require.Zero(b, c.inflight.Load())
			}
		})
	}
}

// BenchmarkUpdate replaces some of 10,000 endpoints while another goroutine picks,
// and reports the longest pick. The baseline builds a map of the list by ID, which every
// update needs.
func BenchmarkUpdate(b *testing.B) {
	const n = 10_000
	b.Run("baseline", func(b *testing.B) {
		eps := endpoints(n)
		for b.Loop() {
			byID := make(map[string]*balancer.Endpoint, n)
			for i := range eps {
				byID[eps[i].ID] = &eps[i]
			}
			require.Len(b, byID, n)
		}
	})
	for _, name := range []string{"P2C", "RoundRobin", "Hash"} {
		for _, changed := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/changed=%d", name, changed), func(b *testing.B) {
				lb, start := seasoned(b, policies()[name], n)
				stop, slowest := make(chan struct{}), make(chan time.Duration)
				go pickUntil(lb, stop, slowest)
				eps := endpoints(n)
				i := 0
				for b.Loop() {
					for range changed {
						eps[i%n].ID += "'"
						i++
					}
					require.NoError(b, lb.Update(start.Add(time.Minute), eps))
				}
				close(stop)
				b.ReportMetric(float64(<-slowest), "ns/slowest-pick")
				require.Len(b, lb.Nodes(), n)
			})
		}
	}
}

// BenchmarkUpdateOfUnequalWeights replaces one of 5000 endpoints. One has the largest weight
// of an SRV record. The baseline has equal weights.
func BenchmarkUpdateOfUnequalWeights(b *testing.B) {
	const n = 5000
	for _, name := range []string{"P2C", "WeightedRoundRobin", "Hash"} {
		for _, weight := range []int{1, 65535, 1_000_000} {
			b.Run(fmt.Sprintf("%s/heaviest=%d", name, weight), func(b *testing.B) {
				lb, start := seasoned(b, policies()[name], n)
				eps := endpoints(n)
				eps[7].Weight = weight
				for b.Loop() {
					eps[0].ID += "'"
					require.NoError(b, lb.Update(start.Add(time.Minute), eps))
				}
				require.Len(b, lb.Nodes(), n)
			})
		}
	}
}

// pickUntil picks without pause and then sends how long the slowest of 99.9 % of
// its picks took: the rest is what the scheduler and the collector do.
func pickUntil(lb *balancer.Balancer, stop <-chan struct{}, slowest chan<- time.Duration) {
	var took []time.Duration
	for {
		select {
		case <-stop:
			slices.Sort(took)
			slowest <- took[len(took)*999/1000]
			return
		default:
			now := time.Now()
			if ticket, err := lb.Pick(now, balancer.PickInfo{}); err == nil {
				ticket.Done(now, balancer.NotSent)
			}
			if len(took) < 1<<22 {
				took = append(took, time.Since(now))
			}
		}
	}
}

// BenchmarkPickDone is one pick and its Done, with the time given and without
// the reading of the clock.
func BenchmarkPickDone(b *testing.B) {
	for _, name := range []string{"P2C", "RoundRobin", "WeightedRoundRobin", "Random", "Hash"} {
		for _, n := range []int{3, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				lb, start := seasoned(b, policies()[name], n)
				before := picks(lb)
				now := start.Add(time.Minute)
				b.ReportAllocs()
				var key uint64
				for b.Loop() {
					now = now.Add(10 * time.Microsecond)
					key++
					ticket, err := lb.Pick(now, balancer.PickInfo{Key: key, HasKey: true})
					if err != nil {
						b.Fatal(err)
					}
					ticket.Done(now, balancer.Success)
				}
				require.EqualValues(b, b.N, picks(lb)-before)
			})
		}
	}
}

// BenchmarkPickReportDone is the same with servers that report their load.
func BenchmarkPickReportDone(b *testing.B) {
	for _, n := range []int{3, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			lb, start := seasoned(b, nil, n)
			before := picks(lb)
			now := start.Add(time.Minute)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now = now.Add(10 * time.Microsecond)
				ticket, err := lb.Pick(now, balancer.PickInfo{})
				if err != nil {
					b.Fatal(err)
				}
				ticket.Node().Report(now, i%16)
				ticket.Done(now, balancer.Success)
			}
			require.EqualValues(b, b.N, picks(lb)-before)
		})
	}
}

// BenchmarkPickDoneParallel has every processor pick at once.
func BenchmarkPickDoneParallel(b *testing.B) {
	for _, n := range []int{3, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			lb, start := seasoned(b, nil, n)
			b.RunParallel(func(pb *testing.PB) {
				now := start.Add(time.Minute)
				for pb.Next() {
					now = now.Add(10 * time.Microsecond)
					ticket, err := lb.Pick(now, balancer.PickInfo{})
					if err != nil {
						b.Error(err)
						return
					}
					ticket.Done(now, balancer.Success)
				}
			})
			for _, node := range lb.Nodes() {
				require.Zero(b, node.InFlight())
			}
		})
	}
}

// seasoned returns a balancer with a random seed and without slow start, whose nodes have all
// been called.
func seasoned(b *testing.B, p balancer.Policy, n int) (*balancer.Balancer, time.Time) {
	start := time.Now() // times with a monotonic reading, as in use
	lb, err := balancer.New(balancer.Config{Policy: p})
	require.NoError(b, err)
	require.NoError(b, lb.Update(start, endpoints(n)))
	for i := range 10 * n {
		now := start.Add(time.Duration(i) * time.Minute / time.Duration(10*n))
		ticket := pick(b, lb, now, balancer.PickInfo{Key: uint64(i), HasKey: true})
		ticket.Done(now.Add(time.Millisecond), balancer.Success)
	}
	return lb, start
}

func picks(b *balancer.Balancer) (sum uint64) {
	for _, n := range b.Nodes() {
		sum += n.Stats(epoch).Picks
	}
	return sum
}
