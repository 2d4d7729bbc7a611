//go:build unix

package chaos_test

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
)

var hold = flag.Duration("chaos.hold", 2*time.Second, "for how long TestThaw stops a server")

// A server process that was stopped, and goes on, runs all that has piled up if it is a stock
// server, and with Serve no more than one in a hundred. It is so for one client that sends it
// a third of the calls all the while, because it neither balances by load, nor counts failures, nor
// detects silence; and for many clients with default settings, each of which soon avoids it.
// What they do does not depend on the format: in a short run they have one.
func TestThaw(t *testing.T) {
	together(t)
	trusting := rpcx.Dialer{DetectionTime: time.Minute, Balancer: balancer.RoundRobin()}
	trusting.Breaker.Disabled = true
	many := int(50 * hold.Seconds() / 5)
	t.Run("together", func(t *testing.T) {
		for _, kind := range []struct {
			name          string
			clients, some int
			dialer        rpcx.Dialer
		}{
			{"a trusting client", 1, int(10 * hold.Seconds()), trusting},
			{"default clients", many, many / 8, rpcx.Dialer{}},
		} {
			for _, server := range []string{"stock", "Serve"} {
				for _, format := range []string{"gob", "JSON"} {
					if *hold < 5*time.Second && kind.clients > 1 && format == "JSON" {
						continue
					}
					t.Run(kind.name+" "+format+" "+server, func(t *testing.T) {
						t.Parallel()
						r := chaos.RunThaw(t, chaos.Thaw{
							Serve: server == "Serve", JSON: format == "JSON", Clients: kind.clients,
							Rate: 100, Live: *hold / 5, Hold: *hold, Dialer: kind.dialer,
						})
						t.Log(r)
						require.Greater(t, r.PiledUp, kind.some)
						if server == "stock" {
							require.Greater(t, r.RunLate, r.PiledUp*9/10, "the fault was one")
						} else { // and one whose deadline passes as it is read
							require.LessOrEqual(t, r.RunLate, max(1, r.PiledUp/100))
						}
					})
				}
			}
		}
	})
}
