package latency

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPaces is the largest number of methods. One more discards the means of all
	// methods; those that are still called get new ones.
	maxPaces = 1024
	// paceSpan is the time constant of the mean.
	paceSpan = time.Minute
)

// Paces has the usual latency of each method at one endpoint: a slowly moving mean. Times
// are durations since any fixed moment. The zero value is ready for use. It is safe for
// concurrent use.
type Paces struct {
	mu     sync.RWMutex // protects following
	byName map[string]*pace
}

// pace is the mean latency of one method.
type pace struct {
	value atomic.Int64 // the mean in nanoseconds; 0 before the first reply

	mu    sync.Mutex // protects following
	count float64    // number of replies
	last  time.Duration
	mean  float64
}

// Add adds the latency d of a reply that arrived at now.
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

// Of returns the usual latency of a method, or 0 if it is not known.
func (p *Paces) Of(method string) time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.byName[method]; m != nil {
		return time.Duration(m.value.Load())
	}
	return 0
}

// add adds a latency to the mean. Its weight is 1/count for the first replies, and then the
// time since the last reply relative to paceSpan. If another add is running, the latency is
// left out.
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
