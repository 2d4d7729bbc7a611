package balancer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// FuzzTiers does random operations and compares each pick with a model that
// knows nothing but each endpoint's state: the picked node must be of the best
// tier that there is, and there must be none when there is an error.
func FuzzTiers(f *testing.F) {
	f.Add(uint8(0), []byte{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9})
	f.Add(uint8(1), []byte("a sequence of operations, each a byte or two"))
	f.Add(uint8(4), []byte{0, 1, 0, 2, 0, 3, 4, 4, 4, 8, 8, 16, 32, 64, 128, 255})
	all := []balancer.Policy{
		balancer.P2C(), balancer.RoundRobin(), balancer.WeightedRoundRobin(), balancer.Random(), balancer.Hash(),
	}
	f.Fuzz(func(t *testing.T, policy uint8, ops []byte) {
		m := &tierModel{b: fleetOf(t, 5, balancer.Config{Policy: all[int(policy)%len(all)]})}
		for i, op := range ops {
			m.step(t, at(time.Duration(i)*3*time.Millisecond), op)
		}
	})
}

type tierModel struct {
	b    *balancer.Balancer
	in   balancer.PickInfo
	held []balancer.Ticket
}

func (m *tierModel) step(t *testing.T, now time.Time, op byte) {
	nodes := m.b.Nodes()
	arg := int(op >> 3)
	switch op & 7 {
	case 0:
		size := 1 + arg%12
		if arg == 31 {
			size = 80 // above this size snapshots are rebuilt later
		}
		require.NoError(t, m.b.Update(now, endpoints(size)))
	case 1, 2:
		n := nodes[arg%len(nodes)]
		m.b.SetNodeState(now, n, balancer.State(arg%4))
	case 3:
		m.b.Suspend(now, nodes[arg%len(nodes)])
	case 4:
		m.in = balancer.PickInfo{Key: uint64(arg), HasKey: arg > 3}
	case 5:
		if len(m.held) > 0 {
			m.held[0].Done(now, balancer.Outcome(arg%5))
			m.held = m.held[1:]
		}
	default:
		m.pick(t, now)
	}
}

func (m *tierModel) pick(t *testing.T, now time.Time) {
	best := 4
	for _, n := range m.b.Nodes() {
		best = min(best, m.tier(n))
	}
	ticket, err := m.b.Pick(now, m.in)
	if best == 4 {
		require.ErrorIs(t, err, balancer.ErrAllDown)
		return
	}
	require.NoError(t, err)
	require.Equal(t, best, m.tier(ticket.Node()))
	m.in.Try(ticket.Node())
	m.held = append(m.held, ticket)
}

// tier numbers the tiers from best to worst: untried Ready, untried Suspect,
// tried Ready, tried Suspect, never.
func (m *tierModel) tier(n *balancer.Node) int {
	tier := 0
	if m.in.Tried(n) {
		tier = 2
	}
	switch n.State() {
	case balancer.Ready:
		return tier
	case balancer.Suspect:
		return tier + 1
	}
	return 4
}

func TestPickDoesNotAllocate(t *testing.T) {
	for name, policy := range policies() {
		for _, n := range []int{3, 100} {
			b := fleetOf(t, n, balancer.Config{Policy: policy})
			var in balancer.PickInfo
			in.Try(b.Nodes()[0])
			allocs := testing.AllocsPerRun(100, func() {
				ticket, _ := b.Pick(at(time.Second), in)
				ticket.Done(at(2*time.Second), balancer.Success)
			})
			assert.Zero(t, allocs, "%s of %d", name, n)
		}
	}
}
