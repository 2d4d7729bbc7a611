package codec

import (
	"maps"
	"sync"
)

// jsonPending has what is known of the requests that wait for their answers, by
// number. It may be used concurrently. The zero jsonPending is empty.
type jsonPending[T any] struct {
	mu   sync.Mutex // protects following
	m    map[uint64]T
	most int // what m has held at once since it was made
}

// keepPending is for how many requests a map is kept in any case: one never shrinks.
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

// take returns what was put, and removes it.
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

// update changes what was put, if it was.
func (p *jsonPending[T]) update(seq uint64, change func(*T)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if what, ok := p.m[seq]; ok {
		change(&what)
		p.m[seq] = what
	}
}

// find returns the number of what is wanted, if it was put.
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

// some returns how many requests wait, and the number of one of them.
func (p *jsonPending[T]) some() (n int, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seq = range p.m {
		break
	}
	return len(p.m), seq
}
