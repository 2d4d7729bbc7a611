package detector

import "sync/atomic"

// A latch holds the numbers of a law, so that readers never see a mean and a
// deviation of two windows, and publishing one allocates nothing. The writer
// fills the slot that is not being read, as in Linux's seqcount latch: a
// writer that is held up between two words holds up no reader. A reader repeats
// only if two laws were published while it read one.
type latch struct {
	begun atomic.Uint64 // the law being written or written last
	done  atomic.Uint64 // the law to read
	slots [2][lawWords]atomic.Uint64
}

// store publishes a law. Calls must not be concurrent.
func (l *latch) store(words [lawWords]uint64) {
	v := l.begun.Add(1)
	slot := &l.slots[v%2]
	for i := range slot {
		slot[i].Store(words[i])
	}
	l.done.Store(v)
}

func (l *latch) load() (words [lawWords]uint64) {
	for {
		v := l.done.Load()
		slot := &l.slots[v%2]
		for i := range slot {
			words[i] = slot[i].Load()
		}
		if l.begun.Load() <= v+1 { // v+2 would go where v was read
			return words
		}
	}
}
