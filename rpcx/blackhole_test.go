package rpcx_test

import (
	"context"
	"net"
	"net/rpc"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/chaos"
	"resilientrpc/rpcx/internal/dnstest"
)

// lookUpIn lets names be looked up in s until the test is over.
func lookUpIn(t *testing.T, s *dnstest.Server) {
	address := s.Listen(t)
	nameServer.Store(&address)
	t.Cleanup(func() { nameServer.Store(nil) })
}

// nameServer is where names are looked up; nil for the system's.
var nameServer atomic.Pointer[string]

// A look-up may outlast its test, so the resolver is set once and stays.
func init() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if s := nameServer.Load(); s != nil {
			address = *s
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

func addressesOf(ips ...string) dnstest.Answer {
	a := dnstest.Answer{TTL: 30}
	for _, ip := range ips {
		a.Records = append(a.Records, dnstest.IP(ip))
	}
	return a
}

// serveBank serves Bank at a port of 127.0.0.1 until the test is over.
func serveBank(t *testing.T) (port string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	server := rpc.NewServer()
	require.NoError(t, server.RegisterName("Bank", &Bank{name: "a", ledger: &ledger{runs: make(map[int]int)}}))
	go server.Accept(ln)
	_, port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return port
}

// blackHole drops packets to a port of an address of this machine.
func blackHole(t *testing.T, ip, port string) {
	if runtime.GOOS != "linux" {
		t.Skip("there is one loopback address, or no black hole")
	}
	hole, err := chaos.FullBacklog(net.JoinHostPort(ip, port))
	require.NoError(t, err)
	t.Cleanup(func() { hole.Close() })
}

// A name whose first address drops packets never connected: net.Dialer gives an address
// 2 s at least, which is all of DialTimeout. Real sockets.
func TestNameWhoseFirstAddressesAreBlackHoles(t *testing.T) {
	s := new(dnstest.Server)
	lookUpIn(t, s)
	port := serveBank(t)
	for _, ip := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		blackHole(t, ip, port)
	}
	t.Run("together", func(t *testing.T) { // they wait
		for name, ips := range map[string][]string{
			"one.example.":   {"127.0.0.2", "127.0.0.1"},
			"three.example.": {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"},
			"mixed.example.": {"127.0.0.2", "127.0.0.9", "127.0.0.1"}, // 9 refuses
		} {
			s.Set(name, dnstest.TypeA, addressesOf(ips...))
			for _, network := range []string{"tcp", "tcp4"} {
				t.Run(name+network, func(t *testing.T) {
					t.Parallel()
					c, err := rpcx.Dial(network, name+":"+port)
					require.NoError(t, err)
					var where string
					require.NoError(t, c.Call("Bank.Where", struct{}{}, &where))
					require.NoError(t, c.Close())
				})
			}
		}

		nobody := []string{"127.0.0.2", "127.0.0.3", "127.0.0.9"}
		s.Set("none.example.", dnstest.TypeA, addressesOf(nobody...))
		t.Run("none.example.", func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := rpcx.Dial("tcp", "none.example.:"+port)
			require.Greater(t, time.Since(begin), time.Second)
			var e net.Error
			require.ErrorAs(t, err, &e)
			require.True(t, e.Timeout())
			require.IsType(t, &net.OpError{}, err)
			for _, ip := range nobody {
				require.Equal(t, 1, strings.Count(err.Error(), ip+":"+port), "%v", err)
			}
		})
	})
}

// The same for a name of which one family is not answered for: net.Dialer waits for both.
func TestNameOfWhichOneFamilyIsNotAnsweredFor(t *testing.T) {
	s := new(dnstest.Server)
	lookUpIn(t, s)
	port := serveBank(t)
	s.Set("calc.example.", dnstest.TypeA, addressesOf("127.0.0.1"))
	s.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{Silent: true})
	c, err := rpcx.Dial("tcp", "calc.example.:"+port)
	require.NoError(t, err)
	require.NoError(t, c.Close())

	_, err = rpcx.Dial("tcp", "nobody.example.:"+port)
	var e *net.OpError
	require.ErrorAs(t, err, &e)
	require.ErrorContains(t, err, "no such host")
}
