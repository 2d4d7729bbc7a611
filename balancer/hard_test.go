package balancer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// The tests of this file are named after bugs of other balancers.

// grpc-java#4462: a picker that starts at index 0 after each update sends the
// first nodes several times their share while endpoints are in flux.
func TestRestartOnUpdate_grpcjava4462(t *testing.T) {
	b := fleetOf(t, 5, balancer.Config{Policy: balancer.RoundRobin()})
	got := make([]int, 5)
	for range 100 {
		require.NoError(t, b.Update(epoch, endpoints(5)))
		got[index(pick(t, b, epoch, balancer.PickInfo{}).Node())]++
	}
	assert.Equal(t, []int{20, 20, 20, 20, 20}, got)
}

// envoy#31378: clients that start together all pick the same node first.
func TestFirstPickSkew_envoy31378(t *testing.T) {
	some := policies()
	delete(some, "Hash") // the key decides, and is not ours
	for name, policy := range some {
		t.Run(name, func(t *testing.T) {
			got := make([]int, 4)
			for seed := range uint64(1000) {
				b := fleetOf(t, 4, balancer.Config{Policy: policy, Seed: seed + 1})
				got[index(pick(t, b, epoch, balancer.PickInfo{}).Node())]++
			}
			for i, c := range got {
				assert.InDelta(t, 250, c, 70, "endpoint %d of %v", i, got)
			}
		})
	}
}

// caddy#880: the node after a dead one gets two shares.
func TestNeighborOfTheDead_caddy880(t *testing.T) {
	for _, n := range []int{5, 100} { // 100: the dead are still in the snapshot
		b := fleetOf(t, n, balancer.Config{Policy: balancer.RoundRobin(), Subset: -1})
		setState(b, epoch, "0", balancer.Down)
		setState(b, epoch, "1", balancer.Down)
		got := counts(t, b, epoch, 1000*(n-2), n, 0)
		assert.Zero(t, got[0]+got[1])
		for i, c := range got[2:] {
			assert.InDelta(t, 1000, c, 1, "endpoint %d", i+2)
		}
	}
}

// envoy#27066: suspicion takes out most of the fleet.
func TestEjectingTooMany_envoy27066(t *testing.T) {
	for n, want := range map[int]int{1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 10: 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := fleetOf(t, n, balancer.Config{})
			got := 0
			for _, node := range b.Nodes() {
				if b.Suspend(epoch, node) {
					got++
					assert.True(t, b.Suspend(epoch, node), "again is no change")
				}
			}
			assert.Equal(t, want, got)
		})
	}
}

func TestSuspendCounts(t *testing.T) {
	b := fleetOf(t, 4, balancer.Config{})
	nodes := b.Nodes()
	assert.True(t, b.Suspend(epoch, nodes[0]))
	setState(b, epoch, "1", balancer.Draining)
	assert.False(t, b.Suspend(epoch, nodes[2]), "two of the three that serve would be suspects")
	setState(b, epoch, "1", balancer.Down)
	assert.True(t, b.Suspend(epoch, nodes[2]), "two of four; what is down on proof is no suspect")
	assert.False(t, b.Suspend(epoch, nodes[3]))
	assert.True(t, setState(b, epoch, "3", balancer.Down), "proof is not capped")
	setState(b, epoch, "3", balancer.Ready)
	setState(b, epoch, "0", balancer.Ready)
	assert.True(t, b.Suspend(epoch, nodes[3]), "the first is a suspect no more")
	require.NoError(t, b.Update(epoch, endpoints(2)))
	assert.False(t, b.Suspend(epoch, nodes[3]), "removed")
	assert.False(t, b.SetState(epoch, nodes[3], balancer.Ready), "removed")
}

// gRFC A50's outlier detection needs five hosts and fifty calls each in ten
// seconds. Here a failing one of three is avoided at one call a second.
func TestInertAtThree_gRFCA50(t *testing.T) {
	s := newSim(t, 3, balancer.P2C(), 1)
	s.serve = func(server int) (time.Duration, balancer.Outcome) {
		if server == 0 {
			return ms, balancer.Failure
		}
		return 10 * ms, balancer.Success
	}
	s.open(1, 20*time.Minute)
	assert.Greater(t, s.success(), 90.0, "a round robin has 66.7")
}

// envoy#25487: calls that our own limit refused get an innocent host ejected.
func TestOwnRejection_envoy25487(t *testing.T) {
	b := fleetOf(t, 3, balancer.Config{})
	counts(t, b, epoch, 100, 3, 10*ms)
	before := b.Nodes()[0].Stats(at(time.Second))
	for range 100 {
		ticket := pick(t, b, at(time.Second), balancer.PickInfo{})
		ticket.Done(at(20*time.Second), balancer.NotSent)
	}
	after := b.Nodes()[0].Stats(at(time.Second))
	assert.Greater(t, after.Picks, before.Picks)
	after.Picks = before.Picks
	assert.Equal(t, before, after)
}

// ingress-nginx#3709, haproxy#1282: an update of the endpoints loses what was
// learned about them.
func TestStateLostOnUpdate_ingressnginx3709(t *testing.T) {
	b := fleetOf(t, 3, balancer.Config{})
	held := pick(t, b, epoch, balancer.PickInfo{})
	counts(t, b, epoch, 100, 3, 10*ms)
	node := held.Node()
	b.SetState(epoch, node, balancer.Suspect)
	before := node.Stats(at(time.Second))
	eps := endpoints(5)
	eps[index(node)].Weight = 7
	eps[index(node)].Value = "new"
	require.NoError(t, b.Update(at(time.Second), eps))
	after := node.Stats(at(time.Second))
	assert.Equal(t, 7, after.Weight)
	assert.Equal(t, "new", node.Value())
	assert.Contains(t, b.Nodes(), node)
	before.Weight = 7
	assert.Equal(t, before, after)
	assert.Equal(t, 1, after.InFlight)

	require.NoError(t, b.Update(at(time.Second), []balancer.Endpoint{{ID: "other"}}))
	held.Done(at(2*time.Second), balancer.Success)
	assert.Zero(t, node.InFlight(), "a ticket of a removed node is valid")
	assert.Equal(t, balancer.Draining, node.State())
}

// tower#134: an endpoint whose latency is seeded too high is never used;
// ingress-nginx: one seeded with nothing is flooded.
func TestSeed_tower134(t *testing.T) {
	t.Parallel()
	for _, latency := range []time.Duration{100 * time.Microsecond, 10 * ms, 3 * time.Second} {
		t.Run(latency.String(), func(t *testing.T) {
			s := newSim(t, 10, nil, 1)
			s.serve = func(int) (time.Duration, balancer.Outcome) { return latency + s.exp(latency/10), balancer.Success }
			s.open(200, 10*time.Second)
			require.NoError(t, s.b.Update(at(20*time.Second), endpoints(11)))
			s.now, s.shares = 60*time.Second, make([]int, 11) // slow start is over
			s.open(200, 70*time.Second)
			assert.InDelta(t, 2000/11, s.shares[10], 80, "%v", s.shares)
		})
	}
}

// ingress-nginx: a new endpoint without statistics looks the fastest.
func TestSeedIsNotFlooded_ingressnginx3709(t *testing.T) {
	s := newSim(t, 10, nil, 1)
	s.b = fleetOf(t, 10, balancer.Config{SlowStart: -1})
	s.serve = func(int) (time.Duration, balancer.Outcome) { return 10*ms + s.exp(ms), balancer.Success }
	s.open(200, 10*time.Second)
	require.NoError(t, s.b.Update(at(s.now), endpoints(11)))
	s.shares = make([]int, 11)
	for range 100 { // a burst before it has answered
		s.call()
	}
	assert.InDelta(t, 100/11, s.shares[10], 3, "%v", s.shares)
}

// After errors that all shared, the first node to succeed must not get every
// call of an idle fleet.
func TestFirstToSucceedIsNotPreferred(t *testing.T) {
	b := fleetOf(t, 3, balancer.Config{})
	for i := range 60 {
		ticket := pick(t, b, at(time.Duration(i)*10*ms), balancer.PickInfo{})
		ticket.Done(at(time.Duration(i)*10*ms+5*ms), balancer.Failure)
	}
	got := make([]int, 3)
	for i := range 300 {
		now := at(30*time.Second + time.Duration(i)*10*ms)
		ticket := pick(t, b, now, balancer.PickInfo{})
		got[index(ticket.Node())]++
		ticket.Done(now.Add(5*ms), balancer.Success)
	}
	for _, c := range got {
		assert.InDelta(t, 100, c, 40, "%v", got)
	}
}

// linkerd2-proxy#4537: a read that stores the decayed value changes what later
// samples weigh.
func TestDecayOnRead_linkerd4537(t *testing.T) {
	run := func(reads int) balancer.NodeStats {
		b := fleetOf(t, 2, balancer.Config{})
		for i := range 100 {
			now := at(time.Duration(i) * 100 * ms)
			ticket := pick(t, b, now, balancer.PickInfo{})
			for j := range reads {
				for _, n := range b.Nodes() {
					n.Stats(now.Add(time.Duration(j) * ms))
				}
			}
			ticket.Done(now.Add(time.Duration(10+i%7)*ms), balancer.Outcome(i%3))
		}
		return b.Nodes()[0].Stats(at(time.Minute))
	}
	assert.Equal(t, run(0), run(50))
}

// envoy#31507: among equally loaded nodes a scan prefers the one that follows
// the loaded ones.
func TestTieBias_envoy31507(t *testing.T) {
	b := fleetOf(t, 5, balancer.Config{SlowStart: -1})
	counts(t, b, epoch, 100, 5, 10*ms)
	for _, id := range []string{"2", "3", "4"} {
		setState(b, epoch, id, balancer.Down)
	}
	for range 16 {
		pick(t, b, at(10*ms), balancer.PickInfo{}) // loads 0 and 1
	}
	for _, id := range []string{"2", "3", "4"} {
		setState(b, epoch, id, balancer.Ready)
	}
	got := make([]int, 5)
	for range 6000 {
		ticket := pick(t, b, at(10*ms), balancer.PickInfo{})
		got[index(ticket.Node())]++
		ticket.Done(at(20*ms), balancer.NotSent)
	}
	assert.Zero(t, got[0]+got[1])
	for _, c := range got[2:] {
		assert.InDelta(t, 2000, c, 200, "%v", got)
	}
}

// ribbon#283: a retry goes to the node that has just failed.
func TestRetrySameNode_ribbon283(t *testing.T) {
	for name, policy := range policies() {
		for _, n := range []int{2, 3, 20} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				b := fleetOf(t, n, balancer.Config{Policy: policy})
				for key := range uint64(200) {
					in := balancer.PickInfo{Key: key, HasKey: true}
					seen := map[*balancer.Node]bool{}
					for range min(n, 4) {
						ticket := pick(t, b, epoch, in)
						require.False(t, seen[ticket.Node()])
						seen[ticket.Node()] = true
						in.Try(ticket.Node())
						ticket.Done(epoch, balancer.NotSent)
					}
				}
			})
		}
	}
}

// A recovered node gets a tenth to a third of its share at first and all of
// it after slow start, at heavy and at light load. (Envoy's documentation warns that its own
// slow start starves or floods at light load.)
func TestRecoveryStampede(t *testing.T) {
	t.Parallel()
	const n = 5
	for _, rate := range []float64{20, 1000} {
		seeds := 10
		if brief() && rate == 1000 {
			seeds = 2
		}
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			early, mid, late, total := 0, 0, 0, 0
			for seed := range uint64(seeds) {
				s := newSim(t, n, nil, seed+1)
				s.serve = func(int) (time.Duration, balancer.Outcome) {
					return 10*ms + s.exp(ms), balancer.Success
				}
				setState(s.b, epoch, "0", balancer.Down)
				s.open(rate, 5*time.Second)
				assert.Zero(t, s.shares[0])
				setState(s.b, at(s.now), "0", balancer.Ready)
				phase := func() int {
					before := s.shares[0]
					s.open(rate, s.now+time.Second)
					return s.shares[0] - before
				}
				start := s.now
				early += phase()
				s.now = start + 5*time.Second
				mid += phase()
				s.now = start + 20*time.Second
				late += phase()
				total += int(rate) / n
			}
			share := func(c int) float64 { return float64(c) / float64(total) }
			assert.LessOrEqual(t, share(early), 0.38)
			assert.Positive(t, early)
			assert.InDelta(t, 0.6, share(mid), 0.25)
			assert.InDelta(t, 1.0, share(late), 0.2)
		})
	}
}

// Slow start must not leave a busy fleet without the node that is to relieve it.
func TestSlowStartRelieves(t *testing.T) {
	for _, n := range []int{3, 9} {
		for _, tt := range []struct{ held, low, high int }{{0, 20, 250}, {30, 900, 1000}} {
			t.Run(fmt.Sprint(n, tt.held), func(t *testing.T) {
				b := fleetOf(t, n, balancer.Config{})
				counts(t, b, epoch, 100, n, 10*ms)
				setState(b, epoch, "0", balancer.Down)
				for range tt.held * (n - 1) {
					pick(t, b, epoch, balancer.PickInfo{})
				}
				setState(b, epoch, "0", balancer.Ready)
				got := 0
				for range 1000 * n / 3 {
					ticket := pick(t, b, epoch, balancer.PickInfo{})
					got += 1 - min(index(ticket.Node()), 1)
					ticket.Done(epoch, balancer.NotSent)
				}
				if n > 8 { // it is drawn for two of nine picks
					got = got * 3 / 2
				}
				assert.GreaterOrEqual(t, got, tt.low)
				assert.LessOrEqual(t, got, tt.high*n/3)
			})
		}
	}
}

// What each outcome may do to a node's latency and error rate, once and twice in a row.
func TestOutcomes(t *testing.T) {
	tests := []struct {
		outcome    balancer.Outcome
		took       time.Duration
		once       time.Duration
		twice      time.Duration
		wantErrors float64
	}{
		{balancer.Success, 20 * ms, 10 * ms, 20 * ms, 0},
		{balancer.AppError, 20 * ms, 10 * ms, 20 * ms, 0},
		{balancer.AppError, 5 * ms, 10 * ms, 10 * ms, 0},
		{balancer.Canceled, 20 * ms, 10 * ms, 20 * ms, 0},
		{balancer.Canceled, 5 * ms, 10 * ms, 10 * ms, 0},
		{balancer.Failure, 20 * ms, 10 * ms, 10 * ms, 0.2},
		{balancer.Failure, 5 * ms, 10 * ms, 10 * ms, 0.2},
		{balancer.NotSent, 20 * ms, 10 * ms, 10 * ms, 0},
		{balancer.Outcome(99), 20 * ms, 10 * ms, 10 * ms, 0},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.outcome, tt.took), func(t *testing.T) {
			b, now := fleetOf(t, 1, balancer.Config{}), epoch
			call := func(took time.Duration, o balancer.Outcome) balancer.NodeStats {
				ticket := pick(t, b, now, balancer.PickInfo{})
				now = now.Add(took)
				ticket.Done(now, o)
				now = now.Add(2 * ms)
				return ticket.Node().Stats(now)
			}
			call(10*ms, balancer.Success)
			call(10*ms, balancer.Success)
			got := call(tt.took, tt.outcome)
			assert.InDelta(t, tt.once, got.Latency, float64(ms)/10)
			assert.InDelta(t, tt.wantErrors, got.ErrorRate, 0.001)
			assert.Zero(t, got.InFlight)
			assert.InDelta(t, tt.twice, call(tt.took, tt.outcome).Latency, float64(ms)/10)
		})
	}
}

// One Policy value in two balancers: each keeps its own turn.
func TestPolicyValueIsShared(t *testing.T) {
	policy := balancer.RoundRobin()
	a := fleetOf(t, 2, balancer.Config{Policy: policy})
	b := fleetOf(t, 2, balancer.Config{Policy: policy})
	for range 10 {
		first := index(pick(t, a, epoch, balancer.PickInfo{}).Node())
		pick(t, b, epoch, balancer.PickInfo{})
		second := index(pick(t, a, epoch, balancer.PickInfo{}).Node())
		assert.NotEqual(t, first, second)
	}
}
