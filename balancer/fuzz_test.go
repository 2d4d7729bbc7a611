package balancer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// FuzzTiers does random operations and compares each pick with a model that
// knows nothing but the state, the priority and the calls of each endpoint in use:
// the picked node must be of the best tier that has room, and there must be none when
// there is an error.
func FuzzTiers(f *testing.F) {
	f.Add(uint8(0), []byte{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9})
	f.Add(uint8(1), []byte("a sequence of operations, each a byte or two"))
	f.Add(uint8(2), []byte{24, 1, 9, 17, 7, 15, 7, 16, 10, 26, 7, 7, 248, 1, 7, 2, 10, 7})
	f.Add(uint8(4), []byte{0, 1, 0, 2, 0, 3, 4, 4, 4, 8, 8, 16, 32, 64, 128, 255})
	f.Add(uint8(5), []byte{6, 6, 6, 6, 5, 6, 6, 5, 5, 6, 6, 6, 1, 6, 6, 9, 6})
	f.Add(uint8(14), []byte("another sequence, with two calls for each"))
	all := []balancer.Policy{
		balancer.P2C(), balancer.RoundRobin(), balancer.WeightedRoundRobin(), balancer.Random(), balancer.Hash(),
	}
	f.Fuzz(func(t *testing.T, policy uint8, ops []byte) {
		limit := int(policy) / len(all) % 3 // 0 is none
		m := &tierModel{b: fleetOf(t, 5, balancer.Config{Policy: all[int(policy)%len(all)], MaxInFlight: limit}), limit: limit}
		for i, op := range ops {
			m.step(t, at(time.Duration(i)*3*time.Millisecond), op)
		}
	})
}

type tierModel struct {
	b     *balancer.Balancer
	limit int
	in    balancer.PickInfo
	held  []balancer.Ticket
}

func (m *tierModel) step(t *testing.T, now time.Time, op byte) {
	nodes := m.b.Nodes()
	arg := int(op >> 3)
	switch op & 7 {
	case 0:
		size := 1 + arg%12
		eps := endpoints(size)
		for i := range eps {
			eps[i].Priority = i % (1 + arg%3)
		}
		if arg == 31 {
			eps = endpoints(80) // snapshots of so many are rebuilt later
		}
		require.NoError(t, m.b.Update(now, eps))
	case 1, 2:
		n := nodes[arg%len(nodes)]
		m.b.SetState(now, n, balancer.State(arg%4))
	case 3:
		n := nodes[arg%len(nodes)]
		if arg < 16 {
			m.b.Suspend(now, n)
		} else {
			n.Report(now, arg-18)
		}
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

// worst is the tier of what is never picked.
const worst = 1 << 20

func (m *tierModel) pick(t *testing.T, now time.Time) {
	ticket, err := m.b.Pick(now, m.in)
	best, full := worst, false
	used := m.inUse(t, now) // afterwards, as it may rebuild
	first := worst          // the priority that has any up
	for _, n := range used {
		if n.State() <= balancer.Suspect {
			first = min(first, n.Priority())
		}
	}
	for _, n := range used {
		tier := m.tier(n)
		if n.Priority() != first || tier == worst {
			continue
		}
		inflight := n.InFlight()
		if err == nil && n == ticket.Node() {
			inflight-- // this call
		}
		if m.limit > 0 && inflight >= m.limit {
			full = true
			continue
		}
		best = min(best, tier)
	}
	if best == worst {
		want := balancer.ErrAllDown
		if full {
			want = balancer.ErrAllFull
		}
		require.ErrorIs(t, err, want)
		return
	}
	require.NoError(t, err)
	require.Equal(t, best, m.tier(ticket.Node()))
	m.in.Try(ticket.Node())
	m.held = append(m.held, ticket)
}

// inUse returns what the balancer uses, and checks that it is all nodes, or that 20
// of it are up.
func (m *tierModel) inUse(t *testing.T, now time.Time) []*balancer.Node {
	used, up := m.b.InUse(now), 0
	for _, n := range used {
		if n.State() <= balancer.Suspect {
			up++
		}
	}
	ups, all := m.b.Up(now)
	require.Equal(t, []int{up, len(used)}, []int{ups, all})
	if len(used) == len(m.b.Nodes()) {
		return used
	}
	require.GreaterOrEqual(t, len(m.b.Nodes()), 64)
	require.GreaterOrEqual(t, up, 20)
	return used
}

// tier numbers the tiers from best to worst, first by priority, and then: untried
// Ready, untried Suspect, tried Ready, tried Suspect; and at last, never.
func (m *tierModel) tier(n *balancer.Node) int {
	if n.State() > balancer.Suspect {
		return worst
	}
	tier := 8 * n.Priority()
	if m.in.Tried(n) {
		tier += 2
	}
	if n.State() == balancer.Suspect {
		tier++
	}
	return tier
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
