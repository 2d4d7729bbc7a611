package server

import (
	"sync"
	"sync/atomic"
)

const (
	// tableSize is for how many requests at once the table has slots, and window how many of
	// them one may be in.
	tableSize = 1 << 12
	window    = 8
)

// running has the callers of all methods that run in this process, so that ContextOf can find
// them. The global variable is what lets a method ask without a parameter more.
var running table

// slot is a place for a caller.
type slot = atomic.Pointer[caller]

// table finds callers by their key. Adding and removing one takes no lock, unless the slots
// that it may be in are all taken. Its zero value is empty.
type table struct {
	slots [tableSize]slot
	more  sync.Map     // key to *caller: those without a slot
	extra atomic.Int64 // how many they are, or soon will be
}

// slotOf is the number of the first of the slots that a key may be in.
func slotOf(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 52 }

// add returns the slot that c gets, nil for none.
func (t *table) add(c *caller, key uint64) *slot {
	for i := range uint64(window) {
		s := &t.slots[(slotOf(key)+i)%tableSize]
		if s.Load() == nil && s.CompareAndSwap(nil, c) {
			return s
		}
	}
	t.extra.Add(1)
	t.more.Store(key, c)
	return nil
}

// remove removes what add has added.
func (t *table) remove(s *slot, key uint64) {
	if s != nil {
		s.Store(nil)
		return
	}
	t.more.Delete(key)
	t.extra.Add(-1)
}

// find returns the caller with the key, or nil. It may have another one by now.
func (t *table) find(key uint64) *caller {
	for i := range uint64(window) {
		if c := t.slots[(slotOf(key)+i)%tableSize].Load(); c != nil && c.key.Load()&^1 == key {
			return c
		}
	}
	if t.extra.Load() > 0 {
		if c, ok := t.more.Load(key); ok {
			return c.(*caller)
		}
	}
	return nil
}

// each calls f with the callers of a connection, until it returns false.
func (t *table) each(of *conn, f func(*caller) bool) {
	for i := range t.slots {
		if c := t.slots[i].Load(); c != nil && c.conn == of && !f(c) {
			return
		}
	}
	if t.extra.Load() == 0 {
		return
	}
	t.more.Range(func(_, value any) bool {
		c := value.(*caller)
		return c.conn != of || f(c)
	})
}
