package balancer_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// tiered returns a balancer over endpoints "0", "1", … of these priorities.
func tiered(t testing.TB, c balancer.Config, priorities ...int) *balancer.Balancer {
	t.Helper()
	b := fleetOf(t, 1, c)
	eps := endpoints(len(priorities))
	for i, p := range priorities {
		eps[i].Priority = p
	}
	require.NoError(t, b.Update(epoch, eps))
	return b
}

// RFC 2782: "A client MUST attempt to contact the target host with the
// lowest-numbered priority it can reach".
func TestPriorities_RFC2782(t *testing.T) {
	steps := []struct {
		id    string
		state balancer.State
		want  []string
	}{
		{"1", balancer.Ready, []string{"1", "3"}},
		{"1", balancer.Suspect, []string{"3"}},
		{"3", balancer.Suspect, []string{"1", "3"}}, // no call goes to a backup for a mere suspicion
		{"3", balancer.Down, []string{"1"}},
		{"1", balancer.Down, []string{"0", "4"}},
		{"0", balancer.Draining, []string{"4"}},
		{"4", balancer.Down, []string{"2"}},
		{"2", balancer.Down, nil},
		{"4", balancer.Ready, []string{"4"}},
		{"3", balancer.Suspect, []string{"3"}},
		{"3", balancer.Ready, []string{"3"}},
	}
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			b := tiered(t, balancer.Config{Policy: policy, SlowStart: -1}, 5, -1, 9, -1, 5)
			require.Equal(t, []string{"0", "1", "2", "3", "4"}, ids(b.Nodes()))
			require.Equal(t, []string{"1", "3", "0", "4", "2"}, ids(b.InUse(epoch)), "backups are kept warm")
			for i, s := range steps {
				setState(b, epoch, s.id, s.state)
				if s.want == nil {
					_, err := b.Pick(epoch, balancer.PickInfo{})
					require.ErrorIs(t, err, balancer.ErrAllDown)
					continue
				}
				got := map[string]bool{}
				for _, id := range hashed(t, b, 200) {
					got[id] = true
				}
				require.Equal(t, s.want, slices.Sorted(maps.Keys(got)), "step %d", i)
			}
		})
	}
}

// A call stays in the tier that is up, even if it has tried it all.
func TestRetryStaysInTheTier(t *testing.T) {
	b := tiered(t, balancer.Config{}, 0, 1)
	var in balancer.PickInfo
	for range 5 {
		n := pick(t, b, epoch, in).Node()
		require.Equal(t, "0", n.ID())
		in.Try(n)
	}
}

func TestPriorityChanges(t *testing.T) {
	b := tiered(t, balancer.Config{Policy: balancer.Hash()}, 0, 1)
	require.Contains(t, used(t, b, epoch, 10), "0")
	eps := endpoints(2)
	eps[0].Priority = 2
	require.NoError(t, b.Update(epoch, eps))
	require.Equal(t, map[string]int{"1": 10}, used(t, b, epoch, 10))
}

// A subset uses the first tier, and nodes of the next one in place of those that are down.
func TestSubsetOfTiers(t *testing.T) {
	priorities := make([]int, 100)
	for i := range priorities {
		priorities[i] = 1 - i/50 // the last 50 come first
	}
	b := tiered(t, balancer.Config{Subset: 10}, priorities...)
	for down := range 45 {
		inUse, backups := b.InUse(at(time.Duration(down)*time.Second)), 0
		for _, n := range inUse {
			backups += n.Priority()
		}
		require.Len(t, inUse, 10+down)
		require.Equal(t, max(down-40, 0), backups)
		for id := range used(t, b, at(time.Duration(down)*time.Second), 100) {
			require.GreaterOrEqual(t, len(id), 2, "one of the last 50")
			require.GreaterOrEqual(t, id, "50")
		}
		b.SetState(at(time.Duration(down)*time.Second), firstUp(inUse), balancer.Down)
	}
}

func firstUp(nodes []*balancer.Node) *balancer.Node {
	for _, n := range nodes {
		if n.State() <= balancer.Suspect {
			return n
		}
	}
	return nil
}

func ids(nodes []*balancer.Node) (ids []string) {
	for _, n := range nodes {
		ids = append(ids, n.ID())
	}
	return ids
}

// What is in use stays the same slice until something changes, holds the endpoints
// that are down, and grows by what makes up for them.
func TestInUse(t *testing.T) {
	b := fleetOf(t, 100, balancer.Config{SlowStart: -1})
	first := b.InUse(epoch)
	require.Len(t, first, 20)
	again := b.InUse(at(500 * ms))
	require.Same(t, &first[0], &again[0])
	for i := range 3 {
		require.True(t, b.Suspend(epoch, first[i]))
	}
	require.Equal(t, ids(first), ids(b.InUse(epoch))[:20])
	require.Len(t, b.InUse(epoch), 23)
	b.SetState(epoch, first[5], balancer.Suspect)
	require.Len(t, b.InUse(epoch), 23, "a Suspect node counts as up, so the subset does not change")
	for i := range 3 {
		b.SetState(epoch, first[i], balancer.Ready)
	}
	require.Equal(t, ids(first), ids(b.InUse(epoch)))
}

// If all endpoints are down, a subset does not extend over a large fleet.
func TestSubsetHasAReach(t *testing.T) {
	b := fleetOf(t, 1000, balancer.Config{})
	now, seen := epoch, 0
	for {
		n := firstUp(b.InUse(now))
		if n == nil {
			break
		}
		seen++
		b.SetState(now, n, balancer.Down)
		now = now.Add(20 * ms)
	}
	require.Equal(t, 4*20+64, seen)
	_, err := b.Pick(now, balancer.PickInfo{})
	require.ErrorIs(t, err, balancer.ErrAllDown)
	b.SetState(now, b.InUse(now)[100], balancer.Ready)
	require.Len(t, used(t, b, now.Add(20*ms), 10), 1)
}

// The subset of a client shrinks even if the client does not pick.
func TestSubsetShrinksWithoutPicks(t *testing.T) {
	b := fleetOf(t, 200, balancer.Config{})
	var held []balancer.Ticket
	for i := range 400 {
		held = append(held, pick(t, b, at(time.Duration(i)*ms), balancer.PickInfo{}))
	}
	require.Greater(t, len(b.InUse(at(time.Second))), 100)
	for _, ticket := range held {
		ticket.Done(at(time.Second), balancer.Success)
	}
	for s := range 5 {
		b.InUse(at(time.Duration(s+2) * time.Second))
	}
	require.Len(t, b.InUse(at(10*time.Second)), 20)
}

// Half of what is in use may be suspended, not half of what is listed: ten of
// twenty that fall silent together are a sign of our own network.
func TestSuspendOfASubset_envoy27066(t *testing.T) {
	b := fleetOf(t, 1000, balancer.Config{})
	got := 0
	for _, n := range b.InUse(epoch) {
		if b.Suspend(epoch, n) {
			got++
		}
	}
	require.Equal(t, 10, got)
}

// watchful is a policy that looks whether a lock is held when it is called.
type watchful struct {
	balancer.Policy
	b    *balancer.Balancer
	held int
}

func (w *watchful) Picker(v *balancer.View) balancer.Picker {
	if w.b != nil && w.b.Locked() {
		w.held++
	}
	return w.Policy.Picker(v)
}

func TestPolicyIsCalledWithoutALock(t *testing.T) {
	w := &watchful{Policy: balancer.P2C()}
	b := fleetOf(t, 200, balancer.Config{Policy: w})
	w.b = b
	before := len(b.InUse(epoch))
	for i := range 400 {
		pick(t, b, at(time.Duration(i)*ms), balancer.PickInfo{})
	}
	require.Greater(t, len(b.InUse(epoch)), before, "it was reviewed")
	require.NoError(t, b.Update(epoch, endpoints(300)))
	setState(b, at(time.Minute), fmt.Sprint(7), balancer.Down)
	assert.Zero(t, w.held)
}

// SetState and Suspend do not call the policy: their caller may hold a lock.
func TestStatesAreSetWithoutThePolicy(t *testing.T) {
	for _, size := range []int{3, 200} {
		counter := &countingPolicy{Policy: balancer.P2C()}
		b := fleetOf(t, size, balancer.Config{Policy: counter})
		nodes := b.InUse(epoch)
		before := counter.pickers
		for i, n := range nodes {
			require.True(t, b.SetState(at(time.Duration(i)*time.Minute), n, balancer.Suspect))
		}
		require.True(t, b.Suspend(at(time.Hour), nodes[0]))
		require.Equal(t, before, counter.pickers)
		require.NotSame(t, nodes[0], pick(t, b, at(time.Hour), balancer.PickInfo{}).Node())
		require.Greater(t, counter.pickers, before)
	}
}

func TestEndpointsBeginInTheInitialState(t *testing.T) {
	_, err := balancer.New(balancer.Config{Initial: balancer.Down})
	require.ErrorContains(t, err, "Config.Initial is down")
	b := fleetOf(t, 3, balancer.Config{Initial: balancer.Suspect})
	for _, n := range b.Nodes() {
		require.Equal(t, balancer.Suspect, n.State())
	}
	pick(t, b, epoch, balancer.PickInfo{}).Done(epoch, balancer.NotSent) // for want of others
	setState(b, epoch, "1", balancer.Ready)
	require.NoError(t, b.Update(epoch, endpoints(5)))
	require.Equal(t, balancer.Ready, b.Nodes()[1].State(), "it stays listed")
	require.Equal(t, balancer.Suspect, b.Nodes()[4].State())
	for range 50 {
		require.Equal(t, 1, index(pick(t, b, epoch, balancer.PickInfo{}).Node()))
	}
}
