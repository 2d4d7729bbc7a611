package transport

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// The oldest exchange in flight is the one that a plain walk finds, however far away.
func TestOldestInFlight(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		inflight, from := make(map[uint64]*Exchange), rng.Uint64N(8)
		for range 1 + rng.IntN(6) {
			inflight[from+rng.Uint64N(1+rng.Uint64N(40))] = new(Exchange)
		}
		want := from
		for inflight[want] == nil {
			want++
		}
		require.Equal(t, want, oldest(inflight, from))
	}
	inflight := map[uint64]*Exchange{1 << 62: {}, 1<<62 + 5: {}, 1<<62 + 2: {}}
	require.EqualValues(t, 1<<62, oldest(inflight, 0))
}

// Requests that are not kept cost a later one that is kept nothing.
func TestKeptRequestBehindALongGap(t *testing.T) {
	const gap = 1 << 60
	early, late := &Exchange{seq: gap - 3, position: gap - 2}, &Exchange{seq: gap + 7, Keep: true}
	c := &Conn{inflight: map[uint64]*Exchange{early.seq: early, late.seq: late}}
	c.meta.codec = codec.NewGobClient(nil).(codec.MetaClient)
	c.meta.written = gap + 7
	c.Remember()
	c.number(late)
	require.EqualValues(t, gap+8, late.position)
	require.Equal(t, late.position-early.position, c.meta.pending)
}
