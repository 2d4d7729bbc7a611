package server

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shortRun is what the runs of a short method take at most at the 99th percentile, and so
	// what they delay the requests behind them by. That is about what it costs to wake
	// another thread; on a busy machine, one run in a hundred of a method that does nothing
	// takes half of it.
	shortRun = 100 * time.Microsecond
	// longCost is what a long run adds to the level of runTimes. A short one takes 1 off, so
	// that a level that does not grow means 1 long run in 100.
	longCost = 100
	maxLevel = 2 * longCost
	// maxMethods is how many methods have a record. Those beyond it are never short.
	maxMethods = 1000
)

// runTimes says whether a method is short: whether of its recent runs less than one in a
// hundred was longer than shortRun. It keeps the level of a leaky bucket:
//
//	event            level
//	the first run    maxLevel: a new method is short after 101 short runs
//	a short run      less 1, at least 0
//	a long run       plus longCost, at most maxLevel
//
// The method is short while the level is below longCost. So at rest, a single long run
// ends that until a short one follows, and a second one soon after for up to 101 of them.
// A nil *runTimes is a method that is never short.
type runTimes struct{ level atomic.Int32 }

func (t *runTimes) short() bool { return t != nil && t.level.Load() < longCost }

// record notes how long a run took. A method at rest costs no write.
func (t *runTimes) record(took time.Duration) {
	if t == nil {
		return
	}
	for {
		old := t.level.Load()
		level := max(0, old-1)
		if took > shortRun {
			level = min(old+longCost, maxLevel)
		}
		if level == old || t.level.CompareAndSwap(old, level) {
			return
		}
	}
}

// methods has the run times of every method that was called.
type methods struct {
	known atomic.Pointer[map[string]*runTimes] // is replaced, never changed

	mu sync.Mutex // held while known is replaced
}

// of returns the run times of a method, or nil if there are too many methods.
func (m *methods) of(name string) *runTimes {
	if known := m.known.Load(); known != nil {
		if t := (*known)[name]; t != nil || len(*known) == maxMethods {
			return t
		}
	}
	return m.add(name)
}

func (m *methods) add(name string) *runTimes {
	m.mu.Lock()
	defer m.mu.Unlock()
	grown := make(map[string]*runTimes)
	if known := m.known.Load(); known != nil {
		if t := (*known)[name]; t != nil || len(*known) == maxMethods { // since it was looked for
			return t
		}
		maps.Copy(grown, *known)
	}
	t := new(runTimes)
	t.level.Store(maxLevel)
	grown[strings.Clone(name)] = t
	m.known.Store(&grown)
	return t
}
