package main

import (
	"context"
	"io"
	"log"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	log.SetOutput(io.Discard) // net/rpc's client logs what is done to it
	os.Exit(m.Run())
}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f, err := startFleet(n)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// Every contender calls every method, and has the replicas take turns if it knows
// them.
func TestContenders(t *testing.T) {
	f := newFleet(t, 3)
	for _, c := range contenders {
		t.Run(c.name, func(t *testing.T) {
			client, err := c.open(f.addrs(c.wire), options{})
			require.NoError(t, err)
			defer client.Close()
			for _, m := range []method{square, deposit} {
				in := Message{N: 3, Text: "text"}
				out, err := client.call(t.Context(), m, in)
				require.NoError(t, err)
				require.True(t, m.right(in, out), "%s: %+v for %+v", m, out, in)
			}
			want := 2 // rpcx need not ask a third while that has the longest latency
			if c.alone || c.sticks {
				want = 1
			}
			asked := make(map[uint32]bool)
			for len(asked) < want { // the test's own deadline ends it
				for _, replica := range askedAtOnce(t, client) {
					asked[replica] = true
				}
			}
			require.NotContains(t, asked, 0)
		})
	}
	ran, err := f.executions()
	require.NoError(t, err)
	require.Equal(t, 2*len(contenders), ran[3], "each contender's square and deposit")
}

// askedAtOnce makes some calls at the same time, and returns the replicas that
// answered.
func askedAtOnce(t *testing.T, c client) []uint32 {
	t.Helper()
	var wg sync.WaitGroup
	replicas := make([]uint32, 8)
	for i := range replicas {
		wg.Go(func() {
			in := Message{N: uint64(i), Text: "text"}
			out, err := c.call(t.Context(), echo, in)
			assert.NoError(t, err)
			assert.True(t, echo.right(in, out), "%+v for %+v", out, in)
			replicas[i] = out.Replica
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
	return replicas
}

// A failing replica's answer is an error to all, and the calls of none end with a
// wrong reply.
func TestFailingReplicas(t *testing.T) {
	f := newFleet(t, 1)
	for _, c := range contenders {
		t.Run(c.name, func(t *testing.T) {
			client, err := c.open(f.addrs(c.wire), options{})
			require.NoError(t, err)
			defer client.Close()
			_, err = f.procs[0].tell("failing true")
			require.NoError(t, err)
			defer f.procs[0].tell("failing false") //nolint:errcheck // the next contender would tell
			_, err = client.call(t.Context(), deposit, Message{N: 1})
			require.ErrorContains(t, err, errBroken.Error())
		})
	}
}

// liar is a client whose replies are wrong.
type liar struct{}

func (liar) call(_ context.Context, _ method, in Message) (Message, error) {
	in.N++
	return in, nil
}

func (liar) Close() error { return nil }
