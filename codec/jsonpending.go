package codec

import (
	"maps"
	"sync"
)

// jsonPending has a value for each pending request: one that has no reply yet. It may be
// used concurrently. The zero jsonPending is empty.
type jsonPending[T any] struct {
	mu   sync.Mutex // protects following
	m    map[uint64]T
	most int // the largest size of m
}

// keepPending is the size up to which a map is kept. A larger one is replaced when it has
// become nearly empty, because a map does not shrink.
const keepPending = 1 << 10

func (p *jsonPending[T]) put(seq uint64, what T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = make(map[uint64]T)
	}
	p.m[seq] = what
	p.most = max(p.most, len(p.m))
}

// take removes and returns the value of a request.
func (p *jsonPending[T]) take(seq uint64) (what T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what, ok = p.m[seq]
	delete(p.m, seq)
	if p.most > keepPending && len(p.m) < p.most/8 {
		few := make(map[uint64]T, len(p.m))
		maps.Copy(few, p.m)
		p.m, p.most = few, len(few)
	}
	return what, ok
}

// update changes the value of a request, if there is one.
func (p *jsonPending[T]) update(seq uint64, change func(*T)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if what, ok := p.m[seq]; ok {
		change(&what)
		p.m[seq] = what
	}
}

// find returns the number of a request with a wanted value.
func (p *jsonPending[T]) find(wanted func(*T) bool) (seq uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seq, what := range p.m {
		if wanted(&what) {
			return seq, true
		}
	}
	return 0, false
}

// countAndOne returns how many requests are pending, and the number of any of them.
func (p *jsonPending[T]) countAndOne() (n int, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seq = range p.m {
		break
	}
	return len(p.m), seq
}
