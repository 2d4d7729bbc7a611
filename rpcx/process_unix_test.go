//go:build unix

package rpcx_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/subtest"
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

// A lone caller, which reads its own reply, leaves a frozen process as soon as that is suspect, and
// the reply that comes late is not mistaken for another one.
func TestCallsLeaveAFrozenProcess(t *testing.T) {
	t.Parallel()
	var all subtest.Group
	defer all.Wait()
	for name, call := range map[string]func(c *rpcx.Client, slip, reply *chaos.Slip) error{
		"Call": func(c *rpcx.Client, slip, reply *chaos.Slip) error { return c.Call("Vault.Peek", *slip, reply) },
		"CallContext": func(c *rpcx.Client, slip, reply *chaos.Slip) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			return c.CallContext(ctx, "Vault.Peek", *slip, reply)
		},
		"Go": func(c *rpcx.Client, slip, reply *chaos.Slip) error {
			return (<-c.Go("Vault.Peek", *slip, reply, nil).Done).Error
		},
	} {
		all.Run(t, name, func(t *testing.T) {
			a, b := chaos.StartServer(t, "127.0.0.1"), chaos.StartServer(t, "127.0.0.1")
			d := rpcx.Dialer{Methods: idempotent("*")}
			c, err := d.Dial("tcp", a.Addr, b.Addr)
			require.NoError(t, err)
			defer c.Close()
			calls := uint64(0)
			load := func(enough func() bool) {
				for !enough() {
					calls++
					slip, reply := chaos.NewSlip(101*calls), chaos.Slip{} // it refuses others
					require.NoError(t, call(c, &slip, &reply))
					require.Equal(t, slip, reply)
				}
			}
			load(func() bool { return calls > 300 })
			for _, frozen := range []*chaos.Server{a, b} { // a call may happen to be stuck on neither, but hardly so
				before, began := c.Stats().HedgesWon, time.Now()
				frozen.Freeze()
				load(func() bool { return c.Stats().HedgesWon > before || time.Since(began) > 4*time.Second })
				frozen.Thaw()
				until := calls + 150
				load(func() bool { return calls > until })
			}
			require.Positive(t, c.Stats().HedgesWon)
			require.Zero(t, c.Stats().Retries, "no call waits until the endpoint is convicted")
		})
	}
}
