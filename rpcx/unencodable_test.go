package rpcx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A request that was never written is owed no answer: the peer is not to be convicted for
// its silence.
func TestArgumentThatCannotBeEncodedOwesNothing(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*rpcx.Client) error{
		"Call": func(c *rpcx.Client) error { return c.Call("Bank.Where", make(chan int), new(string)) },
		"Go": func(c *rpcx.Client) error {
			return (<-c.Go("Bank.Where", make(chan int), new(string), nil).Done).Error
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				conn, err := f.DialContext(t.Context(), "tcp", "a:1")
				require.NoError(t, err)
				given := rpcx.NewClient(conn)
				defer given.Close()
				dialed := f.dial()
				defer dialed.Close()
				for _, c := range []*rpcx.Client{given, dialed} {
					require.Error(t, call(c))
					for range 100 {
						time.Sleep(time.Second)
						require.Less(t, c.Stats().Endpoints[0].Phi, 1.0)
					}
					require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
				}
			})
		})
	}
}
