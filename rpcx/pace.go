package rpcx

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/rpcx/internal/transport"
)

const (
	// maxPaces bounds the methods that an endpoint knows the latency of. When there
	// are more, all is learned anew: the methods that are called come back at once.
	maxPaces = 1024
	// paceSpan is for how long a method must be faster or slower than before until
	// that is taken for usual.
	paceSpan = time.Minute
	// paceSample is how many endpoints are asked what they know of a method.
	paceSample = 16
)

// paces is the usual latency of each method at one endpoint. Times are counted from
// any one moment. It is safe for concurrent use.
type paces struct {
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

// add counts an answer that came at now and took d.
func (p *paces) add(method string, now, d time.Duration) {
	p.mu.RLock()
	m := p.byName[method]
	p.mu.RUnlock()
	if m == nil {
		m = p.enroll(method)
	}
	m.add(now, d)
}

func (p *paces) enroll(method string) *pace {
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

// of is the usual latency of a method, 0 if it is not known.
func (p *paces) of(method string) time.Duration {
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

// answered notes the answer to a call.
func (e *endpoint) answered(x *transport.Exchange, now time.Time) {
	e.paces.add(x.Method, now.Sub(e.client.born), now.Sub(x.Started))
	if c := e.client; c.unmet.Load() != 0 {
		c.unmet.Store(0)
	}
}

// late notes an answer to an attempt that was given up: of a method that is never
// answered in time, nothing else tells how long it takes.
func (e *endpoint) late(x *transport.Exchange, now time.Time) {
	if !x.Background {
		e.answered(x, now)
	}
}

// usual is how long a method takes at the endpoint, or if that is not known, at the
// fastest of the others; 0 if it has not been answered anywhere. It is safe for
// concurrent use, and cheap enough to be asked for each call.
func (e *endpoint) usual(method string) time.Duration {
	if d := e.paces.of(method); d > 0 {
		return d
	}
	return e.client.fastest(method)
}

// fastest is how long a method takes at the fastest of the endpoints in use, or of
// some of them if they are many; 0 if none knows.
func (c *core) fastest(method string) (least time.Duration) {
	nodes := c.balancer.InUse(time.Now())
	if len(nodes) == 0 {
		return 0
	}
	for i, n := rand.IntN(len(nodes)), min(len(nodes), paceSample); n > 0; i, n = i+1, n-1 {
		e := nodes[i%len(nodes)].Value().(*replica).live.Load()
		if e == nil {
			continue
		}
		if d := e.paces.of(method); d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}
