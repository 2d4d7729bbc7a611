package latency

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPaces bounds the methods that an endpoint knows the latency of. When there
	// are more, all is learned anew: the methods that are called come back at once.
	maxPaces = 1024
	// paceSpan is for how long a method must be faster or slower than before until
	// that is taken for usual.
	paceSpan = time.Minute
)

// Paces is the usual latency of each method at one endpoint. Times are counted from
// any one moment. The zero value is ready for use. It is safe for concurrent use.
type Paces struct {
	mu     sync.RWMutex // protects following
	byName map[string]*pace
}

// pace is the mean latency of one method.
type pace struct {
	value atomic.Int64 // the mean in nanoseconds; 0 before the first answer

	mu    sync.Mutex // protects following
	count float64    // of answers
	last  time.Duration
	mean  float64
}

// Add counts an answer that came at now and took d.
func (p *Paces) Add(method string, now, d time.Duration) {
	p.mu.RLock()
	m := p.byName[method]
	p.mu.RUnlock()
	if m == nil {
		m = p.enroll(method)
	}
	m.add(now, d)
}

func (p *Paces) enroll(method string) *pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.byName[method]
	if m != nil {
		return m
	}
	if p.byName == nil || len(p.byName) == maxPaces {
		p.byName = make(map[string]*pace)
	}
	m = new(pace)
	p.byName[strings.Clone(method)] = m // the name may be a small part of a large text
	return m
}

// Of is the usual latency of a method, 0 if it is not known.
func (p *Paces) Of(method string) time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.byName[method]; m != nil {
		return time.Duration(m.value.Load())
	}
	return 0
}

// add moves the mean: to that of all answers while they are few, and then with the
// time that has passed. An answer that meets another one is left out.
func (m *pace) add(now, d time.Duration) {
	if !m.mu.TryLock() {
		return
	}
	defer m.mu.Unlock()
	m.count++
	gain := max(1/m.count, min(float64(now-m.last)/float64(paceSpan), .5))
	m.last = max(m.last, now)
	m.mean += gain * (float64(d) - m.mean)
	m.value.Store(max(int64(m.mean), 1))
}
