package rpcx

import (
	"sync"
	"sync/atomic"
	"time"
)

// latencySpan is how long latencies are gathered before a new histogram begins.
// What is told of is the present span and the one before.
const latencySpan = 30 * time.Second

// latencies is how long the successful attempts of the last half minute to minute
// took. Adding to it takes no lock, and allocates a kilobyte when a span begins; one
// that is never added to takes none. Times are counted from any one moment.
type latencies struct {
	spans [2]span // odd and even ones in turn

	mu sync.Mutex // held while a span begins
}

// span holds the latencies of one latencySpan.
type span struct {
	histogram atomic.Pointer[histogram]
	number    atomic.Int64 // which one it is, counted from 1
}

func (l *latencies) add(now, d time.Duration) {
	number := int64(now/latencySpan) + 1
	s := &l.spans[number&1]
	if s.number.Load() < number {
		l.begin(s, number)
	}
	s.histogram.Load().add(d) // or of a span that has just begun: it is as good
}

func (l *latencies) begin(s *span, number int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.number.Load() < number {
		s.histogram.Store(new(histogram))
		s.number.Store(number)
	}
}

// tally returns what there is of the present span and the one before.
func (l *latencies) tally(now time.Duration) (t tally) {
	number := int64(now/latencySpan) + 1
	for i := range l.spans {
		if s := &l.spans[i]; s.number.Load() > 0 && s.number.Load() >= number-1 {
			t.add(s.histogram.Load())
		}
	}
	return t
}
