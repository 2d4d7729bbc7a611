package telemetry

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
)

// maxSeries bounds a Series, should method names be made up as the program goes.
const maxSeries = 1000

// A Key names one series: a method, and the [Class] of the error, empty for success.
type Key struct{ Method, Class string }

// Series holds what is recorded for each key. Reading takes no lock and allocates
// nothing, since every call does it; there are few keys, and they are soon known. It is
// safe for concurrent use.
type Series[V any] struct {
	make func(Key) V
	m    atomic.Pointer[map[Key]V] // copied to be changed

	mu sync.Mutex // one at a time adds
}

// NewSeries returns a Series whose values f makes, once for each key and one at a
// time.
func NewSeries[V any](f func(Key) V) *Series[V] {
	s := &Series[V]{make: f}
	s.m.Store(new(map[Key]V))
	return s
}

// Get returns the value of k. Keys beyond a thousand have one value for each class, and all
// codes of errors one together: methods and codes may be made up, and other classes are few.
func (s *Series[V]) Get(k Key) V {
	if v, ok := (*s.m.Load())[k]; ok {
		return v
	}
	return s.add(k)
}

func (s *Series[V]) add(k Key) V {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.m.Load()
	if _, ok := old[k]; !ok && len(old) >= maxSeries { // somebody else may have added it
		k.Method = Other
		if _, err := strconv.Atoi(k.Class); err == nil {
			k.Class = serverError
		}
	}
	if v, ok := old[k]; ok {
		return v
	}
	grown := maps.Clone(old)
	if grown == nil {
		grown = make(map[Key]V)
	}
	v := s.make(k)
	grown[k] = v
	s.m.Store(&grown)
	return v
}
