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

// freeze returns when the process stands still: a signal takes effect later than
// it is sent.
func (p *process) freeze() {
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(p.t, err)
	require.True(p.t, status.Stopped())
}

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
	for thawed := time.Now(); ; time.Sleep(20 * time.Millisecond) { // a real process takes real time
		err := c.Call("Vault.Peek", "after", &reply)
		if err == nil {
			break
		}
		require.Less(t, time.Since(thawed), 15*time.Second, "%v", err)
	}
	require.Equal(t, "after", reply)
}
