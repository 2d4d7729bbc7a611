//go:build unix

package rpcx_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

func (p *process) freeze() { require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGSTOP)) }

func (p *process) thaw() { require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGCONT)) }

func TestFrozenProcess(t *testing.T) {
	leak.Check(t)
	plain, resilient := underFault(t, (*process).freeze)
	require.Positive(t, plain.hung, "the fault was one")
	kept(t, resilient)
	require.Less(t, resilient.longest, 5*time.Second)
}

// A process that was merely frozen gets its calls back.
func TestThawedProcess(t *testing.T) {
	leak.Check(t)
	p := startProcess(t)
	c, err := rpcx.Dial("tcp", p.addr)
	require.NoError(t, err)
	defer c.Close()
	var reply string
	require.NoError(t, c.Call("Vault.Peek", "before", &reply))
	p.freeze()
	begin := time.Now()
	err = c.Call("Vault.Deposit", "meanwhile", &reply)
	require.ErrorIs(t, err, rpcx.ErrUnresponsive)
	require.Less(t, time.Since(begin), 5*time.Second)
	p.thaw()
	require.Eventually(t, func() bool { return c.Call("Vault.Peek", "after", &reply) == nil },
		10*time.Second, 20*time.Millisecond)
	require.Equal(t, "after", reply)
}
