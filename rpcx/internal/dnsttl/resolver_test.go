package dnsttl_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/dnstest"
	"resilientrpc/rpcx/internal/dnsttl"
	"resilientrpc/rpcx/internal/simnet"
)

// underSimnet runs f in virtual time with a name server.
func underSimnet(t *testing.T, f func(*testing.T, *dnstest.Server, *simnet.Network)) {
	t.Helper()
	dnstest.Prepare()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer n.Close()
		s := new(dnstest.Server)
		go s.ServeStream(n.Listen("ns"))
		f(t, s, n)
	})
}

func resolver(n *simnet.Network) (*net.Resolver, *dnsttl.Observer) {
	return dnsttl.Resolver(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return n.DialContext(ctx, network, "ns")
	})
}

func TestLeastOfTwoFamilies(t *testing.T) {
	underSimnet(t, func(t *testing.T, s *dnstest.Server, n *simnet.Network) {
		s.Set("calc.example.", dnstest.TypeA, dnstest.Answer{TTL: 60, Records: []dnstest.Record{dnstest.IP("192.0.2.1")}})
		s.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{TTL: 7, Records: []dnstest.Record{dnstest.IP("2001:db8::1")}})
		r, ttl := resolver(n)
		addrs, err := r.LookupNetIP(t.Context(), "ip", "calc.example.")
		require.NoError(t, err)
		require.Len(t, addrs, 2)
		least, ok := ttl.Least()
		require.True(t, ok)
		require.Equal(t, 7*time.Second, least)
	})
}

func TestNoTTLOfWhatIsNotInTheDNS(t *testing.T) {
	underSimnet(t, func(t *testing.T, s *dnstest.Server, n *simnet.Network) {
		r, ttl := resolver(n)
		_, err := r.LookupNetIP(t.Context(), "ip", "192.0.2.1")
		require.NoError(t, err)
		_, err = r.LookupNetIP(t.Context(), "ip", "nobody.example.")
		require.Error(t, err)
		_, ok := ttl.Least()
		require.False(t, ok)
	})
}

// A part of the answer must not pass for the whole (net.Resolver.StrictErrors).
func TestFailureOfOneFamilyIsAFailure(t *testing.T) {
	underSimnet(t, func(t *testing.T, s *dnstest.Server, n *simnet.Network) {
		s.Set("calc.example.", dnstest.TypeA, dnstest.Answer{TTL: 60, Records: []dnstest.Record{dnstest.IP("192.0.2.1")}})
		s.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{RCode: dnstest.ServerFailure})
		r, _ := resolver(n)
		_, err := r.LookupNetIP(t.Context(), "ip", "calc.example.")
		require.Error(t, err)
		addrs, err := r.LookupNetIP(t.Context(), "ip4", "calc.example.")
		require.NoError(t, err)
		require.Len(t, addrs, 1)
	})
}

// net's own LookupSRV waits for its timeout.
func TestLookupEndsWithItsContext(t *testing.T) {
	underSimnet(t, func(t *testing.T, s *dnstest.Server, n *simnet.Network) {
		s.Set("_rpc._tcp.calc.example.", dnstest.TypeSRV, dnstest.Answer{Silent: true})
		r, _ := resolver(n)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		begin := time.Now()
		_, _, err := r.LookupSRV(ctx, "", "", "_rpc._tcp.calc.example.")
		require.Error(t, err)
		require.Equal(t, time.Millisecond, time.Since(begin))
	})
}

// Real sockets: a long answer does not fit into a packet and comes over TCP.
func TestTruncatedAnswer(t *testing.T) {
	s := new(dnstest.Server)
	address := s.Listen(t)
	var records []dnstest.Record
	for i := range 200 {
		records = append(records, dnstest.IP(net.IPv4(192, 0, 2, byte(i)).String()))
	}
	s.Set("many.example.", dnstest.TypeA, dnstest.Answer{TTL: 9, Records: records})
	s.Set("few.example.", dnstest.TypeA, dnstest.Answer{TTL: 8, Records: records[:2]})
	for name, want := range map[string]struct {
		count, asked int
		ttl          time.Duration
	}{
		"many.example.": {200, 2, 9 * time.Second},
		"few.example.":  {2, 1, 8 * time.Second},
	} {
		r, ttl := dnsttl.Resolver(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		})
		addrs, err := r.LookupNetIP(t.Context(), "ip4", name)
		require.NoError(t, err)
		require.Len(t, addrs, want.count)
		require.Equal(t, want.asked, s.Asked(name, dnstest.TypeA), "by UDP, and by TCP if it must be")
		least, ok := ttl.Least()
		require.True(t, ok)
		require.Equal(t, want.ttl, least)
		require.Len(t, ttl.Asked(dnsttl.TypeA), 1, "each name once")
		require.Empty(t, ttl.Asked(dnsttl.TypeAAAA))
	}
}
