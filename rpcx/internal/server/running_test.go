package server

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// With more requests than slots none is lost.
func TestTableOverflows(t *testing.T) {
	t.Parallel()
	var full table
	near, callers := new(conn), make([]*caller, 3*tableSize)
	for i := range callers {
		c := &caller{conn: near}
		key := uint64(2 * (i + 1))
		c.key.Store(key)
		c.slot = full.add(c, key)
		callers[i] = c
	}
	require.Positive(t, full.extra.Load())
	seen := 0
	full.each(near, func(*caller) bool { seen++; return true })
	full.each(new(conn), func(*caller) bool { seen++; return true })
	require.Equal(t, len(callers), seen)
	for i, c := range callers {
		key := uint64(2 * (i + 1))
		require.Same(t, c, full.find(key))
		full.remove(c.slot, key)
		c.key.Store(0)
		require.Nil(t, full.find(key))
	}
	require.Zero(t, full.extra.Load())
}

// What a method costs that does not ask for its context.
func BenchmarkCaller(b *testing.B) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, args := newRequest(new(conn)).caller, new(Ask)
		for pb.Next() {
			c.begin(args)
			c.end()
		}
	})
}

// What one costs that does.
func BenchmarkContextOf(b *testing.B) {
	b.ReportAllocs()
	c, args := newRequest(new(conn)).caller, new(Ask)
	for b.Loop() {
		c.begin(args)
		ContextOf(args)
		c.end()
	}
}

// What a message costs the server that cancels nothing.
func BenchmarkCancel(b *testing.B) {
	c := &conn{stream: new(stream)}
	for b.Loop() {
		c.cancel(1)
	}
}

func TestCallerAllocatesNothing(t *testing.T) {
	c, args := newRequest(new(conn)).caller, new(Ask)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c.begin(args)
		c.end()
	}))
}
