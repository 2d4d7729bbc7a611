package detector

import "sync/atomic"

// A latch publishes the numbers of a distribution as a whole and without allocation, like
// Linux's seqcount latch. The writer fills the slot that is not read, so that a reader
// never waits for it. A reader starts again only if two distributions were stored while
// it read.
type latch struct {
	begun atomic.Uint64 // number of the last distribution that was begun
	done  atomic.Uint64 // number of the last one that is complete
	slots [2][distributionWords]atomic.Uint64
}

// store publishes a distribution. Calls must not be concurrent.
func (l *latch) store(words [distributionWords]uint64) {
	v := l.begun.Add(1)
	slot := &l.slots[v%2]
	for i := range slot {
		slot[i].Store(words[i])
	}
	l.done.Store(v)
}

func (l *latch) load() (words [distributionWords]uint64) {
	for {
		v := l.done.Load()
		slot := &l.slots[v%2]
		for i := range slot {
			words[i] = slot[i].Load()
		}
		if l.begun.Load() <= v+1 { // v+2 is written to the slot of v
			return words
		}
	}
}
