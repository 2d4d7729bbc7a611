package rpcx_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A server that is busy with the calls of another client says so, and gets fewer. All calls
// take the same (virtual) time, so that latency does not tell the two servers apart.
func TestServerBusyWithOthersIsSpared(t *testing.T) {
	t.Parallel()
	inFleet(t, 0, func(t *testing.T, f *fleet) {
		for _, addr := range []string{"busy:1", "idle:1"} {
			f.Delay(addr, time.Millisecond)
			stop := serving(t, f.Listen(addr), &Bank{name: addr, ledger: f.ledger}, nil)
			defer stop() //nolint:errcheck // the calls below outlast it
		}
		f.addrs = []string{"busy:1"}
		others := f.dial()
		defer others.Close()
		for range 30 {
			others.Go("Bank.Sleep", time.Minute, new(string), nil)
		}
		f.addrs = []string{"busy:1", "idle:1"}
		c := f.dial()
		defer c.Close()
		time.Sleep(20 * time.Second) // past slow start
		synctest.Wait()
		require.Less(t, where(t, c, 200)["busy:1"], 20, "of 200; without its reports, a half")
	})
}
