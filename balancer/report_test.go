package balancer_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// The estimate of other clients' calls moves towards the fleet's mean. The client's own calls
// count at once.
func TestReportAges(t *testing.T) {
	const own, running = 3, 11
	for _, c := range []struct {
		name   string
		age    time.Duration
		others float64 // the mean is 0, or nearly
		within float64
	}{
		{"at once", 0, running - own, 0},
		{"before", -time.Second, running - own, 0},
		{"in the same millisecond", ms / 2, running - own, .01},
		{"after 0.7 s", 700 * ms, (running - own) / 2, .05},
		{"after 2 s", 2 * time.Second, (running - own) * math.Exp(-2), .4},
		{"after a minute", time.Minute, 0, .01},
		{"after 40 days, which is more than ticks can tell", 40 * 24 * time.Hour, 0, running},
	} {
		t.Run(c.name, func(t *testing.T) {
			spy := &viewSpy{Policy: balancer.P2C()}
			b := fleetOf(t, 2, balancer.Config{Policy: spy})
			n, idle := b.Nodes()[0], b.Nodes()[1]
			b.SetState(epoch, idle, balancer.Suspect)
			begin := at(time.Second)
			var held []balancer.Ticket
			for range own {
				held = append(held, pick(t, b, begin, balancer.PickInfo{}))
			}
			idle.Report(begin, 0) // is the mean
			n.Report(begin, running)
			now := begin.Add(c.age)
			others := n.Stats(now).Others
			assert.InDelta(t, c.others, others, c.within+1e-9)
			assert.Equal(t, others, n.Stats(now).Others, "reading changes nothing")

			if others < .5 {
				others = 0 // and does not count
			}
			unit := func() float64 { // of the score: what the latency and the age of calls make of it
				return spy.view.Score(now, n) / (1 + float64(n.InFlight()) + others)
			}
			before := unit()
			held = append(held, pick(t, b, begin, balancer.PickInfo{}))
			assert.InEpsilon(t, before, unit(), 1e-9, "one more of its own counts at once")
			for _, ticket := range held[:2] {
				ticket.Done(begin, balancer.NotSent)
			}
			assert.InEpsilon(t, before, unit(), 1e-9, "and two less")
		})
	}
}

// A node that has not reported, or comes back, is an average one.
func TestReportOfOthersIsTheRest(t *testing.T) {
	b := fleetOf(t, 4, balancer.Config{})
	now := at(time.Second)
	stats := func(i int) float64 { return b.Nodes()[i].Stats(now).Others }
	for i := range 4 {
		require.Zero(t, stats(i), "without reports there is no load of others")
	}
	for i := range 3 {
		b.Nodes()[i].Report(now, 6)
	}
	assert.Equal(t, 6.0, stats(3))
	b.Nodes()[0].Report(now, 20)
	assert.Equal(t, 20.0, stats(0))
	setState(b, now, "0", balancer.Down)
	setState(b, now, "0", balancer.Ready)
	assert.Equal(t, 6.0, stats(0), "it begins anew")
	eps := endpoints(4)
	eps[3].Weight = 5
	require.NoError(t, b.Update(now, eps))
	assert.Equal(t, 30.0, stats(3), "one of five times the weight runs five times as much")
	b.Nodes()[1].Report(now, -3)
	b.Nodes()[2].Report(now, math.MaxInt)
	assert.Zero(t, stats(1))
	assert.Less(t, stats(2), 1e19)
}

// Calls go where others have none, in small fleets and large ones, and a client that is
// alone picks as if there were no reports.
func TestReportDirectsCalls(t *testing.T) {
	for _, n := range []int{3, 40} {
		b := fleetOf(t, n, balancer.Config{})
		for i, node := range b.Nodes() {
			node.Report(epoch, 4)
			if i < n/3 {
				node.Report(epoch, 1)
			}
		}
		for range n / 3 * 3 {
			require.Less(t, index(pick(t, b, epoch, balancer.PickInfo{}).Node()), n/3)
		}
	}
	alone, silent := fleetOf(t, 5, balancer.Config{}), fleetOf(t, 5, balancer.Config{})
	var held [2][]balancer.Ticket
	for i := range 2000 {
		now := at(time.Duration(i) * ms)
		var picked [2]int
		for k, b := range []*balancer.Balancer{alone, silent} {
			held[k] = append(held[k], pick(t, b, now, balancer.PickInfo{}))
			picked[k] = index(held[k][i].Node())
			if done := i - 7; done >= 0 {
				ticket := held[k][done]
				if b == alone {
					ticket.Node().Report(now, ticket.Node().InFlight())
				}
				ticket.Done(now, balancer.Success)
			}
		}
		require.Equal(t, picked[1], picked[0], "pick %d", i)
	}
}

func TestReportDoesNotAllocate(t *testing.T) {
	b := fleetOf(t, 100, balancer.Config{})
	allocs := testing.AllocsPerRun(100, func() {
		ticket, _ := b.Pick(at(time.Second), balancer.PickInfo{})
		ticket.Node().Report(at(2*time.Second), 7)
		ticket.Done(at(2*time.Second), balancer.Success)
	})
	assert.Zero(t, allocs)
}

// FuzzReport compares the estimates after random operations with a model that uses exp.
func FuzzReport(f *testing.F) {
	f.Add(uint8(3), []byte{1, 2, 3, 250, 9, 17, 33, 66, 129, 4, 12, 28})
	f.Add(uint8(40), []byte("reports, picks, ends of calls, and time that goes on"))
	f.Fuzz(func(t *testing.T, servers uint8, ops []byte) {
		spy := &viewSpy{Policy: balancer.P2C()}
		m := &reportModel{b: fleetOf(t, 2+int(servers)%40, balancer.Config{Policy: spy}), spy: spy, least: math.Inf(1)}
		m.reports = make([]report, len(m.b.Nodes()))
		for _, op := range ops {
			m.step(t, op)
		}
	})
}

// A reportModel knows what each node reported last. Node 0 never reports, so that it
// shows the mean.
type reportModel struct {
	b           *balancer.Balancer
	spy         *viewSpy
	now         time.Duration
	reports     []report
	held        []balancer.Ticket
	least, most float64 // of all others reported
}

type report struct {
	made   bool
	others float64
	at     time.Duration
}

func (m *reportModel) step(t *testing.T, op byte) {
	nodes, arg := m.b.Nodes(), int(op>>2)
	switch op & 3 {
	case 0:
		m.now += time.Duration(arg*arg) * ms
	case 1:
		m.report(nodes, 1+arg%(len(nodes)-1), arg)
	case 2:
		m.held = append(m.held, pick(t, m.b, at(m.now), balancer.PickInfo{}))
	case 3:
		if len(m.held) > 0 {
			ticket := m.held[arg%len(m.held)]
			m.held = append(m.held[:arg%len(m.held)], m.held[arg%len(m.held)+1:]...)
			if i := index(ticket.Node()); i > 0 && arg > 7 {
				m.report(nodes, i, arg/2)
			}
			ticket.Done(at(m.now), balancer.Outcome(arg%5))
		}
	}
	m.check(t)
}

func (m *reportModel) report(nodes []*balancer.Node, i, running int) {
	others := math.Max(float64(running-nodes[i].InFlight()), 0)
	nodes[i].Report(at(m.now), running)
	m.reports[i] = report{true, others, m.now}
	m.least, m.most = math.Min(m.least, others), math.Max(m.most, others)
}

func (m *reportModel) check(t *testing.T) {
	nodes := m.b.Nodes()
	mean := nodes[0].Stats(at(m.now)).Others
	if math.IsInf(m.least, 1) {
		require.Zero(t, mean)
	} else {
		require.InDelta(t, (m.least+m.most)/2, mean, (m.most-m.least)/2+1e-4, "the mean is among what it is of")
	}
	for i, n := range nodes {
		r := m.reports[i]
		want := mean
		if r.made {
			want += (r.others - mean) * math.Exp(-(m.now - r.at).Seconds())
		}
		require.InDelta(t, want, n.Stats(at(m.now)).Others, .04*math.Abs(r.others-mean)+1e-4, "node %d", i)
		score := m.spy.view.Score(at(m.now), n)
		require.Positive(t, score)
		require.False(t, math.IsInf(score, 1))
	}
}

// Of two idle nodes one reports, and the other is a server that cannot. What is left of old
// reports sent all calls of a lone caller to one of the two.
func TestTraceOfAReportDecidesNothing(t *testing.T) {
	b := fleetOf(t, 2, balancer.Config{})
	n := b.Nodes()[0]
	n.Report(at(time.Second), 1) // of another client's
	picks := map[*balancer.Node]int{}
	now := at(5 * time.Second)
	for range 200 {
		now = now.Add(10 * ms)
		ticket := pick(t, b, now, balancer.PickInfo{})
		picks[ticket.Node()]++
		if ticket.Node() == n {
			n.Report(now, 1)
		}
		ticket.Done(now.Add(ms), balancer.Success)
	}
	assert.Greater(t, picks[n], 60)
	assert.Less(t, picks[n], 140)
}
