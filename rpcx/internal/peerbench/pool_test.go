package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The pool stays with one replica until a call fails there, also if its next one was gone
// and is back.
func TestPoolMovesOn(t *testing.T) {
	f := newFleet(t, 2)
	c := find("net/rpc pool")
	client, err := c.open(f.addrs(c.wire), options{})
	require.NoError(t, err)
	defer client.Close()
	answeredBy := func() uint32 {
		t.Helper()
		in := Message{N: 3, Text: "text"}
		out, err := client.call(t.Context(), square, in)
		require.NoError(t, err)
		require.True(t, square.right(in, out))
		return out.Replica
	}
	for range 2 * tries {
		require.EqualValues(t, 1, answeredBy())
	}
	f.procs[0].kill()
	require.EqualValues(t, 2, answeredBy())
	require.NoError(t, f.procs[0].start())
	require.EqualValues(t, 2, answeredBy())
	f.procs[1].kill()
	require.EqualValues(t, 1, answeredBy())
}
