package balancer_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

func weightedFleet(t testing.TB, p balancer.Policy, weights ...int) *balancer.Balancer {
	b := fleetOf(t, 1, balancer.Config{Policy: p, SlowStart: -1})
	eps := endpoints(len(weights))
	for i, w := range weights {
		eps[i].Weight = w
	}
	require.NoError(t, b.Update(epoch, eps))
	return b
}

// Every cycle of WeightedRoundRobin has exactly each node's weight, wherever
// the cycle starts.
func TestWeightedShares(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		weights := make([]int, 1+rng.IntN(12))
		sum := 0
		for i := range weights {
			weights[i] = 1 + rng.IntN(1<<rng.IntN(8))
			sum += weights[i]
		}
		b := weightedFleet(t, balancer.WeightedRoundRobin(), weights...)
		counts(t, b, epoch, rng.IntN(sum), len(weights), 0)
		require.Equal(t, weights, counts(t, b, epoch, sum, len(weights), 0), "weights %v", weights)
	}
}

// A heavy node's turns are spread over the cycle.
func TestWeightedIsSmooth(t *testing.T) {
	b := weightedFleet(t, balancer.WeightedRoundRobin(), 5, 1, 1)
	run, longest := 0, 0
	for range 700 {
		if index(pick(t, b, epoch, balancer.PickInfo{}).Node()) == 0 {
			run++
		} else {
			run = 0
		}
		longest = max(longest, run)
	}
	assert.LessOrEqual(t, longest, 4)
}

// A single huge weight among many costs no long search.
func TestWeightedDominance(t *testing.T) {
	weights := slices.Repeat([]int{1}, 1000)
	weights[7] = 1_000_000
	for name, p := range map[string]balancer.Policy{"WeightedRoundRobin": balancer.WeightedRoundRobin(), "Random": balancer.Random()} {
		t.Run(name, func(t *testing.T) {
			got := counts(t, weightedFleet(t, p, weights...), epoch, 20_000, 1000, 0)
			assert.Greater(t, got[7], 19_900)
		})
	}
}

// Random and P2C follow the weights, an idle P2C too.
func TestWeightsOfRandomAndP2C(t *testing.T) {
	t.Parallel()
	picks := 1000
	if brief() {
		picks = 400
	}
	for _, n := range []int{4, 20} {
		weights := make([]int, n)
		sum := 0
		for i := range weights {
			weights[i] = 1 + i%4
			sum += weights[i]
		}
		for name, p := range map[string]balancer.Policy{"Random": balancer.Random(), "P2C": balancer.P2C()} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				got := counts(t, weightedFleet(t, p, weights...), epoch, picks*sum, n, 10*ms)
				for i, c := range got {
					assert.InEpsilon(t, picks*weights[i], c, 0.15, "%v", got)
				}
			})
		}
	}
}

// populate against the pseudocode of the Maglev paper, section 3.4.
func TestMaglevAgainstThePaper(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100} {
		ids, weights := make([]string, n), make([]int, n)
		for i := range ids {
			ids[i], weights[i] = fmt.Sprint("host-", i), 1
		}
		const size = 1009
		got := balancer.Populate(ids, weights, size)
		assert.Equal(t, paperMaglev(ids, size), got)
	}
}

// paperMaglev fills the table from permutations written out.
func paperMaglev(ids []string, size int) []int32 {
	permutation := make([][]int, len(ids))
	for i, id := range ids {
		offset, skip := balancer.Permutation(id, size)
		for j := range size {
			permutation[i] = append(permutation[i], (offset+j*skip)%size)
		}
	}
	next, entry := make([]int, len(ids)), slices.Repeat([]int32{-1}, size)
	for n := 0; ; {
		for i := range ids {
			c := permutation[i][next[i]]
			for entry[c] >= 0 {
				next[i]++
				c = permutation[i][next[i]]
			}
			entry[c] = int32(i)
			next[i]++
			if n++; n == size {
				return entry
			}
		}
	}
}

// populate against the plain way of filling a table with weights: each round asks each
// node whether it is its turn.
func TestMaglevAgainstPlainRounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fleets := 300
	if brief() {
		fleets = 60
	}
	for range fleets {
		ids, weights := make([]string, 1+rng.IntN(60)), make([]int, 60)
		weights = weights[:len(ids)]
		for i := range ids {
			ids[i], weights[i] = fmt.Sprint("host-", i), 1+rng.IntN(1<<rng.IntN(12))
		}
		require.Equal(t, plainMaglev(ids, weights, 1009), balancer.Populate(ids, weights, 1009), "%v", weights)
	}
}

func plainMaglev(ids []string, weights []int, size int) []int32 {
	table, due := slices.Repeat([]int32{-1}, size), make([]int, len(ids))
	most := slices.Max(weights)
	for round, left := 1, size; ; round++ {
		for i, id := range ids {
			if round*weights[i] < due[i] {
				continue
			}
			due[i] += most
			at, step := balancer.Permutation(id, size)
			for table[at] >= 0 {
				at = (at + step) % size
			}
			table[at] = int32(i)
			if left--; left == 0 {
				return table
			}
		}
	}
}

// The shares of the nodes are within the bounds in the comment of populate.
func TestMaglevParts(t *testing.T) {
	const size, n = 65537, 1000
	rng := rand.New(rand.NewPCG(3, 4))
	for _, most := range []int{1, 2, 100, 65535, 1_000_000} {
		ids, weights, total := make([]string, n), make([]int, n), 0
		for i := range ids {
			ids[i], weights[i] = fmt.Sprint("host-", i), 1
			if i%100 == 7 {
				weights[i] = 1 + rng.IntN(most)
			}
			total += weights[i]
		}
		got := make([]int, n)
		for _, i := range balancer.Populate(ids, weights, size) {
			got[i]++
		}
		for i, w := range weights {
			part := float64(size) * float64(w) / float64(total)
			require.LessOrEqual(t, float64(got[i]), part+1, "weight %d of %d", w, total)
			require.GreaterOrEqual(t, float64(got[i]), part*15/16-2, "weight %d of %d", w, total)
			require.NotZero(t, got[i])
		}
	}
}

// One weight of 65535 among thousands of 1 must not make an update some hundred times as
// long, as it would if each slot of the table took a round through all nodes.
func TestMaglevWithOneHugeWeightIsAsFast(t *testing.T) {
	size, n := 262147, 5000
	if brief() {
		size, n = 65537, 2000
	}
	ids, even := make([]string, n), slices.Repeat([]int{1}, n)
	for i := range ids {
		ids[i] = fmt.Sprint("host-", i)
	}
	fastest := func(weights []int) time.Duration {
		least := time.Hour
		for range 3 {
			begin := time.Now()
			balancer.Populate(ids, weights, size)
			least = min(least, time.Since(begin))
		}
		return least
	}
	base := fastest(even)
	for _, most := range []int{65535, 1_000_000} {
		for _, every := range []int{n, 100, 2} {
			if brief() && every == 100 {
				continue
			}
			weights := slices.Clone(even)
			for i := 0; i < n; i += every {
				weights[i] = most - i
			}
			require.Less(t, fastest(weights), 12*base, "one of %d in %d nodes", most, every)
		}
	}
}

func TestMaglevWeights(t *testing.T) {
	const size = 65537
	table := balancer.Populate([]string{"a", "b", "c"}, []int{1, 2, 5}, size)
	got := make([]int, 3)
	for _, i := range table {
		got[i]++
	}
	for i, w := range []int{1, 2, 5} {
		assert.InEpsilon(t, size*w/8, got[i], 0.01)
	}
}

// hashed returns the node of each of the first k keys.
func hashed(t testing.TB, b *balancer.Balancer, k int) []string {
	ids := make([]string, k)
	for key := range ids {
		ticket := pick(t, b, epoch, balancer.PickInfo{Key: uint64(key), HasKey: true})
		ids[key] = ticket.Node().ID()
		ticket.Done(epoch, balancer.NotSent)
	}
	return ids
}

// rpcx-examples#68: two processes disagree about the node of a key, because of
// the order of their lists or a random seed.
func TestHashDisagreement_rpcxexamples68(t *testing.T) {
	a := fleetOf(t, 20, balancer.Config{Policy: balancer.Hash(), Seed: 1})
	b := fleetOf(t, 1, balancer.Config{Policy: balancer.Hash(), Seed: 2, SlowStart: -1})
	eps := endpoints(20)
	rand.Shuffle(len(eps), func(i, j int) { eps[i], eps[j] = eps[j], eps[i] })
	require.NoError(t, b.Update(epoch, eps))
	assert.Equal(t, hashed(t, a, 10_000), hashed(t, b, 10_000))
	assert.Equal(t, uint64(0xaf63dc4c8601ec8c), balancer.KeyOf("a"), "FNV-1a is the same everywhere")
}

// The mapping is part of the contract: another version must not move the keys.
func TestHashGolden(t *testing.T) {
	b := fleetOf(t, 10, balancer.Config{Policy: balancer.Hash()})
	assert.Equal(t, goldenHash, hashed(t, b, len(goldenHash)))
}

var goldenHash = []string{"9", "1", "8", "7", "4", "1", "9", "6", "3", "2", "5", "2", "6", "4", "3", "0", "0", "6", "7", "0", "3", "1", "6", "5"}

// When one of up to 30 nodes comes or goes, at most 1.2/N of the keys move.
func TestHashMovesFewKeys(t *testing.T) {
	t.Parallel()
	keys := 20_000
	if brief() {
		keys = 5000
	}
	for _, n := range []int{2, 3, 10, 30} {
		if brief() && n == 3 {
			continue
		}
		b := fleetOf(t, n, balancer.Config{Policy: balancer.Hash(), SlowStart: -1})
		before := hashed(t, b, keys)
		require.NoError(t, b.Update(epoch, endpoints(n+1)))
		more := hashed(t, b, keys)
		assert.Less(t, moved(before, more), 1.2/float64(n+1), "from %d to %d", n, n+1)
		require.NoError(t, b.Update(epoch, endpoints(n)))
		assert.Equal(t, before, hashed(t, b, keys), "there and back")
	}
}

func moved(a, b []string) float64 {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return float64(n) / float64(len(a))
}

// envoy#12529: a dead node's keys all go to its neighbor, which dies next.
func TestHashCascade_envoy12529(t *testing.T) {
	const n = 10
	keys := 50_000
	if brief() {
		keys = 20_000
	}
	b := fleetOf(t, n, balancer.Config{Policy: balancer.Hash()})
	before := hashed(t, b, keys)
	setState(b, epoch, "3", balancer.Down)
	after := hashed(t, b, keys)
	heirs := map[string]int{}
	for i := range before {
		if before[i] == "3" {
			heirs[after[i]]++
		} else {
			require.Equal(t, before[i], after[i], "no other key moves")
		}
	}
	assert.Len(t, heirs, n-1)
	for id, c := range heirs {
		assert.InEpsilon(t, keys/n/(n-1), c, 0.25, "heir %s", id)
	}
}

// A hot key does not take a node above 1.25 times the mean and the floor of 4.
func TestHashBoundedLoad(t *testing.T) {
	b := fleetOf(t, 10, balancer.Config{Policy: balancer.Hash()})
	in := balancer.PickInfo{Key: 42, HasKey: true}
	first := pick(t, b, epoch, in).Node()
	for range 3 {
		require.Same(t, first, pick(t, b, epoch, in).Node())
	}
	for i := range 1000 {
		pick(t, b, epoch, in)
		for _, n := range b.Nodes() {
			require.LessOrEqual(t, float64(n.InFlight()), max(4, math.Ceil(1.25*float64(i+5)/10)))
		}
	}
}

// If all nodes are in slow start and none of a key's slots is admitted, the key stays at the
// first slot.
func TestHashOfANewFleet(t *testing.T) {
	const keys = 10_000
	warm := hashed(t, fleetOf(t, 1000, balancer.Config{Policy: balancer.Hash()}), keys)
	b := fleetOf(t, 1, balancer.Config{Policy: balancer.Hash()})
	require.NoError(t, b.Update(epoch, []balancer.Endpoint{{ID: "another"}}))
	require.NoError(t, b.Update(epoch, endpoints(1000)))
	stay := 1 - moved(warm, hashed(t, b, keys))
	assert.InDelta(t, 0.1+math.Pow(0.9, 16), stay, 0.03, "admitted there, or nowhere")
}

// With nearly all of a large fleet down, a key still has one node.
func TestHashNearlyAllDown(t *testing.T) {
	b := fleetOf(t, 60, balancer.Config{Policy: balancer.Hash()})
	for i := 2; i < 60; i++ {
		setState(b, epoch, fmt.Sprint(i), balancer.Down)
	}
	first := hashed(t, b, 1000)
	assert.Equal(t, first, hashed(t, b, 1000))
	assert.Contains(t, first, "0")
	assert.Contains(t, first, "1")
}

func TestDecayIsNearlyExp(t *testing.T) {
	last := 1.0
	for x := 0.0; x < 50; x += 0.01 {
		got := balancer.Decay(x)
		require.InDelta(t, math.Exp(-x), got, 0.03)
		require.LessOrEqual(t, got, last)
		last = got
	}
	assert.Equal(t, 1.0, balancer.Decay(0))
}
