package rpcx_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// The longer a server is away, the less often it is asked, up to five seconds; but one
// whose host says that nobody listens is asked every second.
func TestReturnOfAReplica(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		fault       func(f *fleet, addr string)
		least, most int // dials in a minute
	}{
		{"nobody listens", (*fleet).kill, 25, 60},
		{"nobody answers", (*fleet).vanish, 5, 15},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFleet(t, 3, func(t *testing.T, f *fleet) {
				client := f.dial()
				defer client.Close()
				where(t, client, 10)
				stop := regularly(client)
				defer stop()
				c.fault(f, "a:1")
				time.Sleep(time.Minute)
				before := f.Dials("a:1")
				time.Sleep(time.Minute)
				dials := f.Dials("a:1") - before
				require.GreaterOrEqual(t, dials, c.least)
				require.LessOrEqual(t, dials, c.most)
				f.Resume("a:1")
				time.Sleep(6 * time.Second)
				require.NotZero(t, where(t, client, 100)["a:1"], "it is back")
			})
		})
	}
}

// regularly makes a call every ten seconds: endpoints of a client that makes none are
// asked less often.
func regularly(c *rpcx.Client) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-time.After(10 * time.Second):
				c.Call("Bank.Where", struct{}{}, new(string)) //nolint:errcheck // that it is made counts
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// vanish does to a server what cutting its cable does.
func (f *fleet) vanish(addr string) {
	f.Blackhole(addr)
	f.Cut(addr)
}
