package resolver_test

import (
	"fmt"
	"net"
	"net/netip"
	"net/rpc"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/dnstest"
	"resilientrpc/rpcx/internal/subtest"
	"resilientrpc/rpcx/resolver"
)

// Sum is the service of the tests with a client.
type Sum struct{}

// Of returns the sum of two numbers.
func (Sum) Of(args [2]int, sum *int) error {
	*sum = args[0] + args[1]
	return nil
}

// serve serves Sum on the connections of ln until it is closed.
func serve(ln net.Listener) {
	s := rpc.NewServer()
	s.Register(Sum{}) //nolint:errcheck // it has a suitable method
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.ServeConn(conn)
		}
	}()
}

// serveTCP serves Sum on loopback until the test ends, and returns the address.
func serveTCP(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	serve(ln)
	return ln.Addr().String()
}

// A client over real sockets, whose name server fails or drops AAAA queries.
func TestDialAHostWithAFamilyThatAlwaysFails(t *testing.T) {
	t.Parallel() // it waits
	var all subtest.Group
	defer all.Wait()
	for name, failing := range resolver.Failing {
		all.Run(t, name, func(t *testing.T) {
			server := serveTCP(t)
			s := new(dnstest.Server)
			s.Set("calc.example.", dnstest.TypeA, resolver.IPs(30, "127.0.0.1"))
			s.Set("calc.example.", dnstest.TypeAAAA, failing)
			port := netip.MustParseAddrPort(server).Port()
			c, err := rpcx.Dial("tcp", fmt.Sprintf("dns://%s/calc.example:%d", s.Listen(t), port))
			require.NoError(t, err)
			defer c.Close()
			var sum int
			require.NoError(t, c.Call("Sum.Of", [2]int{1, 2}, &sum))
			require.Equal(t, 3, sum)
		})
	}
}

// gocql#1713: all endpoints were replaced, and the client did not ask for the new ones
// before the TTL of the old ones had ended: 5 min 28 s of outage with a TTL of 3600 s.
func TestAllDownQueriesAtOnce_gocql1713(t *testing.T) {
	for name, of := range map[string]func(*resolver.Zone, string) resolver.Resolver{
		"dns": (*resolver.Zone).HostResolver, "srv": (*resolver.Zone).ServiceResolver,
	} {
		t.Run(name, func(t *testing.T) {
			resolver.InZone(t, func(t *testing.T, z *resolver.Zone) {
				z.Hosts(3600, "192.0.2.1", "192.0.2.2")
				z.Service(3600, dnstest.SRV(0, 0, 1234, "calc.example."))
				for _, ip := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
					serve(z.Net.Listen(ip + ":1234"))
				}
				d := rpcx.Dialer{Resolver: of(z, "tcp4"), NetDial: z.Net.DialContext}
				c, err := d.Dial("tcp4")
				require.NoError(t, err)
				defer c.Close()
				time.Sleep(20 * time.Second)
				queries := z.Asked("calc.example.", dnstest.TypeA)
				require.Equal(t, 1, queries)

				for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
					z.Net.Refuse(ip + ":1234")
					z.Net.Cut(ip + ":1234")
				}
				time.Sleep(time.Minute)
				queries = z.Asked("calc.example.", dnstest.TypeA) - queries
				require.Greater(t, queries, 10, "again and again while all are down")
				require.Less(t, queries, 30, "every few seconds")

				z.Hosts(3600, "192.0.2.3")
				time.Sleep(5 * time.Second)
				require.NoError(t, c.Call("Sum.Of", [2]int{1, 2}, new(int)))
				queries = z.Asked("calc.example.", dnstest.TypeA)
				time.Sleep(4 * time.Minute)
				require.Equal(t, queries, z.Asked("calc.example.", dnstest.TypeA), "no more once one is up")
			})
		})
	}
}

// The same while the name server fails, and the pause between two queries is long.
func TestAllDownQueriesAtOnceAfterFailures(t *testing.T) {
	resolver.InZone(t, func(t *testing.T, z *resolver.Zone) {
		z.Hosts(2, "192.0.2.1")
		serve(z.Net.Listen("192.0.2.1:1234"))
		serve(z.Net.Listen("192.0.2.2:1234"))
		d := rpcx.Dialer{Resolver: z.HostResolver("tcp4"), NetDial: z.Net.DialContext}
		c, err := d.Dial("tcp4")
		require.NoError(t, err)
		defer c.Close()
		z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		time.Sleep(10 * time.Minute)
		z.Net.Refuse("192.0.2.1:1234")
		z.Net.Cut("192.0.2.1:1234")
		time.Sleep(10 * time.Second)
		z.Hosts(2, "192.0.2.2")
		time.Sleep(5 * time.Second)
		require.NoError(t, c.Call("Sum.Of", [2]int{1, 2}, new(int)))
		synctest.Wait()
	})
}
