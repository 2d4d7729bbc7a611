//go:build unix

package rpcx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
)

func TestFrozenProcess(t *testing.T) {
	t.Parallel()
	report := underFault(t, chaos.Freeze)
	for _, r := range report.Theirs() {
		require.Positive(t, r.Hung, "the fault was one")
	}
	kept(t, report)
}

// A process that was merely frozen gets its calls back.
func TestThawedProcess(t *testing.T) {
	t.Parallel()
	s := chaos.StartServer(t, "127.0.0.1")
	c, err := rpcx.Dial("tcp", s.Addr)
	require.NoError(t, err)
	defer c.Close()
	var reply chaos.Slip
	require.NoError(t, c.Call("Vault.Peek", chaos.NewSlip(2), &reply))
	s.Freeze()
	var begin time.Time
	for err == nil { // the signal takes hold of one thread after another
		begin = time.Now()
		err = c.Call("Vault.Peek", chaos.NewSlip(3), &reply)
	}
	require.ErrorIs(t, err, rpcx.ErrUnresponsive)
	require.Less(t, time.Since(begin), 5*time.Second)
	s.Thaw()
	require.Eventually(t, func() bool { return c.Call("Vault.Peek", chaos.NewSlip(4), &reply) == nil },
		10*time.Second, 20*time.Millisecond)
	require.Equal(t, chaos.NewSlip(4), reply)
}
