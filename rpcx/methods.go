package rpcx

import (
	"sync"
	"time"

	"resilientrpc/breaker"
)

// maxMethods bounds the breakers of one endpoint, should method names be made up
// as the program goes. Methods beyond it have none of their own.
const maxMethods = 1024

// methods is the circuit breakers that one endpoint has for its methods, beneath
// its own: Dialer.BreakerPerMethod. They open when calls run out of time; what
// happens to connections is the endpoint's.
type methods struct {
	cfg    breaker.Config
	change func(method string, ev breaker.Event)

	mu     sync.RWMutex // protects following
	byName map[string]*breaker.Breaker
}

// allow asks the method's breaker. A nil methods lets everything in.
func (m *methods) allow(method string, now time.Time) (breaker.Permit, error) {
	if m == nil {
		return breaker.Permit{}, nil
	}
	b := m.get(method)
	if b == nil {
		return breaker.Permit{}, nil
	}
	return b.Allow(now)
}

func (m *methods) get(method string) *breaker.Breaker {
	m.mu.RLock()
	b := m.byName[method]
	m.mu.RUnlock()
	if b != nil {
		return b
	}
	return m.add(method)
}

func (m *methods) add(method string) *breaker.Breaker {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.byName[method]; b != nil || len(m.byName) == maxMethods {
		return b
	}
	cfg := m.cfg
	cfg.OnChange = func(ev breaker.Event) { m.change(method, ev) }
	b, err := breaker.New(cfg)
	if err != nil {
		return nil // out of reach: the endpoint's own breaker has the same configuration
	}
	m.byName[method] = b
	return b
}

// besides tells the method's breaker what is the method's doing, running out of time or
// not, and returns what is left for the endpoint's: its connections.
func (v judgment) besides(method *breaker.Permit, now time.Time) breaker.Outcome {
	method.Done(now, v.method)
	if v.method == breaker.Failure {
		return breaker.Ignored
	}
	return v.breaker
}
