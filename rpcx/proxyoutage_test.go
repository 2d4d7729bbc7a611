package rpcx_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A proxy accepts connections while the server behind it is away, and ends them. That says
// nothing of pings: when the server is back, it is pinged as before, and convicted as soon.
func TestServerIsAwayBehindAProxy(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(net.Conn){
		"at once":              func(c net.Conn) { c.Close() },
		"behind the first one": func(c net.Conn) { c.Read(make([]byte, 1)); c.Close() }, //nolint:errcheck // it ends
		"after a while":        func(c net.Conn) { time.Sleep(20 * time.Millisecond); c.Close() },
	} {
		for _, replicas := range []int{1, 3} {
			for _, calls := range []bool{true, false} {
				t.Run(name, func(t *testing.T) {
					inFleet(t, replicas, func(t *testing.T, f *fleet) {
						lis := f.Listen("proxy:1")
						go func() {
							for {
								c, err := lis.Accept()
								if err != nil {
									return
								}
								go end(c)
							}
						}()
						var away atomic.Bool
						f.dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
							if away.Load() && addr == "a:1" {
								addr = "proxy:1"
							}
							return f.DialContext(ctx, network, addr)
						}
						c := f.dial()
						defer c.Close()
						pass := func(d time.Duration) {
							for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
								if calls {
									hurried(t, c) //nolint:errcheck // some fail
								}
							}
						}
						pass(10 * time.Second)
						require.Equal(t, rpcx.PingsAnswered, c.Stats().Endpoints[0].Pings)
						away.Store(true)
						f.Cut("a:1")
						pass(time.Minute)
						away.Store(false)
						back := time.Now()
						for answered := ""; answered != "a:1"; time.Sleep(50 * time.Millisecond) {
							require.Less(t, time.Since(back), 30*time.Second)
							answered, _ = hurried(t, c)
						}
						pass(15 * time.Second)
						require.Equal(t, rpcx.PingsAnswered, c.Stats().Endpoints[0].Pings)
					})
				})
			}
		}
	}
}
