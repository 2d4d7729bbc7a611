package resolver

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/dnstest"
	"resilientrpc/rpcx/internal/simnet"
)

// A Zone is a name server in virtual time, with a network for other servers. It is
// exported to the tests of package resolver_test.
type Zone struct {
	*dnstest.Server
	Net *simnet.Network
	t   *testing.T
}

// InZone runs f in a synctest bubble.
func InZone(t *testing.T, f func(*testing.T, *Zone)) {
	t.Helper()
	dnstest.Prepare()
	synctest.Test(t, func(t *testing.T) {
		z := &Zone{new(dnstest.Server), simnet.New(), t}
		defer z.Net.Close()
		go z.ServeStream(z.Net.Listen("192.0.2.53:53"))
		f(t, z)
	})
}

// The host and the service that Hosts and Service set, and the URLs of their resolvers.
const (
	HostAddress = "calc.example:1234"
	ServiceName = "_rpc._tcp.calc.example"
	nameServer  = "192.0.2.53"
	hostURL     = "dns://" + nameServer + "/" + HostAddress
	serviceURL  = "srv://" + nameServer + "/" + ServiceName
)

// HostResolver returns the resolver of HostAddress; all name servers are z.
func (z *Zone) HostResolver(network string) Resolver { return z.dns(network, HostAddress, nameServer) }

// ServiceResolver returns the resolver of ServiceName; all name servers are z.
func (z *Zone) ServiceResolver(network string) Resolver {
	return z.srv(network, ServiceName, nameServer)
}

func (z *Zone) dns(network, address, server string) Resolver {
	z.t.Helper()
	r, err := DNS(network, address, server)
	require.NoError(z.t, err)
	return z.redirect(r)
}

func (z *Zone) srv(network, name, server string) Resolver {
	z.t.Helper()
	r, err := SRV(network, name, server)
	require.NoError(z.t, err)
	return z.redirect(r)
}

// redirect lets r connect to z only.
func (z *Zone) redirect(r Resolver) Resolver {
	r.(*dnsResolver).dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return z.Net.DialContext(ctx, network, "192.0.2.53:53")
	}
	return r
}

// watch starts to watch r and waits until it has delivered what it can at once.
func (z *Zone) watch(r Resolver) *watched {
	z.t.Helper()
	w := watch(z.t, r)
	synctest.Wait()
	return w
}

// Hosts sets the IPv4 addresses of calc.example, which has no IPv6 addresses.
func (z *Zone) Hosts(ttl uint32, addresses ...string) {
	z.Set("calc.example.", dnstest.TypeA, IPs(ttl, addresses...))
	z.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{})
}

// Service sets the SRV records of ServiceName.
func (z *Zone) Service(ttl uint32, records ...dnstest.Record) {
	z.Set(ServiceName+".", dnstest.TypeSRV, dnstest.Answer{TTL: ttl, Records: records})
}

// IPs returns an answer with the given addresses.
func IPs(ttl uint32, addresses ...string) dnstest.Answer {
	a := dnstest.Answer{TTL: ttl}
	for _, address := range addresses {
		a.Records = append(a.Records, dnstest.IP(address))
	}
	return a
}

// Failing has answers by which a name server fails the queries of one type.
var Failing = map[string]dnstest.Answer{
	"server failure": {RCode: dnstest.ServerFailure},
	"refused":        {RCode: 5},
	"unknown type":   {RCode: 4},
	"silent":         {Silent: true},
}
