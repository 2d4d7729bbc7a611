package balancer

import (
	"cmp"
	"slices"
)

// Table sizes are prime, as Maglev requires, with at least 16 slots per node, so that
// no node of equal ones exceeds its share by more than a sixteenth. There are only three,
// because a change of size moves nearly all keys. They are no larger than necessary,
// because each update fills the table.
const (
	smallTable  = 1<<16 + 1
	middleTable = 1<<18 + 3
	largeTable  = 1<<20 + 7
	smallFleet  = 1000
	middleFleet = 16_000
)

func tableSize(nodes int) int {
	switch {
	case nodes <= smallFleet:
		return smallTable
	case nodes <= middleFleet:
		return middleTable
	}
	return largeTable
}

// A maglev is the lookup table of Google's Maglev (Eisenbud et al., NSDI 2016,
// section 3.4): each node in turn takes the next free slot of its own
// permutation of all slots. The table depends on the set of IDs and weights
// only, not on the order of the list, the process, or anything random.
type maglev struct {
	slots []*Node
}

func newMaglev(nodes []*Node) *maglev {
	size := tableSize(len(nodes))
	ids, weights := make([]string, len(nodes)), make([]int, len(nodes))
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b *Node) int { return cmp.Compare(a.id, b.id) })
	for i, n := range nodes {
		ids[i], weights[i] = n.id, n.Weight()
	}
	m := &maglev{slots: make([]*Node, size)}
	for slot, i := range populate(ids, weights, size) {
		m.slots[slot] = nodes[i]
	}
	return m
}

// populate returns the node of each slot of a table. In the first round each node takes a
// slot, even if its share is less than one. Then a node with the largest weight takes one
// in each round, and a node with 1/w of it in every w-th round.
//
// The cost does not depend on the weights: a round costs time only for the nodes that
// take a slot in it.
func populate(ids []string, weights []int, size int) []int32 {
	table := make([]int32, size)
	for slot := range table {
		table[slot] = -1
	}
	place, step := make([]int, len(ids)), make([]int, len(ids))
	for i, id := range ids {
		place[i], step[i] = permutation(id, size)
	}
	// Most slots are tried several times. One bit per slot fits into the L1 cache.
	taken := make([]uint64, size/64+1)
	turns := newTurns(weights, size)
	for left := size; ; {
		for _, i := range turns.next() {
			at := place[i]
			for taken[at>>6]>>(at&63)&1 != 0 {
				if at += step[i]; at >= size {
					at -= size
				}
			}
			table[at], place[i] = i, at
			taken[at>>6] |= 1 << (at & 63)
			if left--; left == 0 {
				return table
			}
		}
	}
}

// permutation returns the first slot of a node's permutation of the slots, and the step
// from one to the next. The size is prime, so the step reaches every slot.
func permutation(id string, size int) (place, step int) {
	h := KeyOf(id)
	return int(mix(h^maglevPlace) % uint64(size)), int(mix(h^maglevStep)%uint64(size-1)) + 1
}

// The seeds must not change: processes of different versions must agree.
const (
	maglevPlace = 0x2545f4914f6cdd1d
	maglevStep  = 0x9fb21c651e98df25
	keySeed     = 0xd6e8feb86659fd93
)

// KeyOf returns a PickInfo.Key for a string: its 64-bit FNV-1a hash. It is the same in
// every process.
func KeyOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
