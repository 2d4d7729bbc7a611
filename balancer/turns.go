package balancer

import "slices"

// turns are the nodes that take a slot in each round of populate. A node with k slots
// takes one in round r if k*most <= r*weight. Rounds are counted from 1, and the nodes of
// a round are in the order of their index.
type turns struct {
	weights []int
	most    int64   // the largest weight
	taken   []int64 // number of slots of each node
	round   int
	due     []int32 // for each round, the head of the list of its nodes
	before  []int32 // for each node, the next one in its list
	now     []int32 // the nodes of the current round
}

// none is the end of a list of nodes.
const none = -1

// newTurns returns the turns of as many rounds as size slots can take.
func newTurns(weights []int, size int) *turns {
	t := &turns{
		weights: weights, most: int64(slices.Max(weights)), taken: make([]int64, len(weights)),
		before: make([]int32, len(weights)),
	}
	total := int64(0)
	for _, w := range weights {
		total += int64(w)
	}
	// After r rounds each node has r*weight/most slots or more.
	rounds := ceilDiv(int64(size)*t.most, total)
	t.due = slices.Repeat([]int32{none}, int(rounds)+1)
	t.now = make([]int32, len(weights))
	for i := range t.now {
		t.now[i] = int32(i)
	}
	return t
}

// next returns the nodes of the next round. The slice is valid until the next call.
func (t *turns) next() []int32 {
	if t.round++; t.round == 1 {
		return t.now
	}
	for _, i := range t.now {
		t.plan(i)
	}
	t.now = t.now[:0]
	for i := t.due[t.round]; i != none; i = t.before[i] {
		t.now = append(t.now, i)
	}
	slices.Sort(t.now) // nodes of one weight are in descending order
	return t.now
}

// plan adds a node that has taken a slot to the round of its next slot, unless the table
// is full before that round.
func (t *turns) plan(i int32) {
	t.taken[i]++
	round := max(ceilDiv(t.taken[i]*t.most, int64(t.weights[i])), int64(t.round))
	if round < int64(len(t.due)) {
		t.before[i], t.due[round] = t.due[round], i
	}
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
