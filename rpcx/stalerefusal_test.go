package rpcx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A silent server that refuses a second connection may be one that takes one. That it did so
// in a silence long past says nothing of this one, in which nobody answers a dial.
func TestRefusalOfAnEarlierSilence(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.DialTimeout = 20 * time.Second
		c := f.dial()
		defer c.Close()
		where(t, c, 30)
		time.Sleep(5 * time.Second)
		ask := func(n int) (calls []*rpcx.Call) {
			for range n {
				calls = append(calls, c.Go("Bank.Sleep", time.Second, new(string), nil))
			}
			return calls
		}
		f.Refuse("a:1")
		f.Stall("a:1")
		slow := ask(5)
		time.Sleep(4 * time.Second)
		require.Empty(t, slow[0].Done, "it may take one connection")
		f.Resume("a:1")
		for _, call := range slow {
			require.NoError(t, (<-call.Done).Error)
		}
		time.Sleep(5 * time.Second)

		f.Blackhole("a:1")
		began := time.Now()
		for _, call := range ask(50) { // more than it has ever answered a ping beside
			require.ErrorIs(t, (<-call.Done).Error, rpcx.ErrUnresponsive)
		}
		require.Less(t, time.Since(began), 4*time.Second)
	})
}
