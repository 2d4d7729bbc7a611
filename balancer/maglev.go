package balancer

import (
	"cmp"
	"slices"
)

// Table sizes are prime, as Maglev needs, and have at least 16 slots for a node,
// so that of equal nodes none has more than a sixteenth over its part. There are few of them
// because a change of size moves nearly all keys, and none is larger than it
// must be, because to fill it is what an update costs.
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

// populate returns which of the nodes has each of size slots. A node of the
// largest weight takes a slot in each round, one of a w-th of it in every w-th,
// and each takes one in the first, also if its part is less than a slot. The
// difference is missing from the parts of heavier nodes.
//
// The work does not depend on the weights: each round takes a slot at least, and
// looks only at the nodes that have their turn in it.
func populate(ids []string, weights []int, size int) []int32 {
	table := make([]int32, size)
	for slot := range table {
		table[slot] = -1
	}
	place, step := make([]int, len(ids)), make([]int, len(ids))
	for i, id := range ids {
		place[i], step[i] = permutation(id, size)
	}
	// A bit for each slot, nearly all of which are looked at in vain several times,
	// fits into the nearest cache.
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

// permutation returns where a node's permutation of the slots begins and its
// step, which is prime to size.
func permutation(id string, size int) (place, step int) {
	h := KeyOf(id)
	return int(mix(h^maglevPlace) % uint64(size)), int(mix(h^maglevStep)%uint64(size-1)) + 1
}

// The seeds are fixed for good: processes of different versions must agree.
const (
	maglevPlace = 0x2545f4914f6cdd1d
	maglevStep  = 0x9fb21c651e98df25
	keySeed     = 0xd6e8feb86659fd93
)

// KeyOf returns a PickInfo.Key for a string. It is the same in every process
// (FNV-1a, 64 bits).
func KeyOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
