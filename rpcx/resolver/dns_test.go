package resolver

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/dnstest"
)

func TestDNSAndSRV(t *testing.T) {
	for _, c := range []struct {
		make                        func(network, name, server string) (Refresher, error)
		network, name, server       string
		wantFamily, wantServer      string
		wantName, wantPort, wantURL string
	}{
		{DNS, "tcp", "calc.internal:1234", "", "ip", "", "calc.internal", "1234", "dns:///calc.internal:1234"},
		{DNS, "tcp4", "calc:http", "", "ip4", "", "calc", "http", "dns:///calc:http"},
		{DNS, "tcp6", "[2001:db8::1]:1234", "", "ip6", "", "2001:db8::1", "1234", "dns:///[2001:db8::1]:1234"},
		{DNS, "tcp", "calc.internal:1234", "127.0.0.1:5353", "ip", "127.0.0.1:5353", "calc.internal.", "1234", "dns://127.0.0.1:5353/calc.internal:1234"},
		{DNS, "tcp", "calc.internal.:1234", "[::1]", "ip", "[::1]:53", "calc.internal.", "1234", "dns://[::1]/calc.internal.:1234"},
		{DNS, "tcp", "calc:1234", "ns1.internal", "ip", "ns1.internal:53", "calc.", "1234", "dns://ns1.internal/calc:1234"},
		{SRV, "tcp", "_rpc._tcp.calc", "", "ip", "", "_rpc._tcp.calc", "", "srv:///_rpc._tcp.calc"},
		{SRV, "tcp", "calc.service.consul", "127.0.0.1:8600", "ip", "127.0.0.1:8600", "calc.service.consul.", "", "srv://127.0.0.1:8600/calc.service.consul"},
	} {
		t.Run(c.wantURL, func(t *testing.T) {
			r, err := c.make(c.network, c.name, c.server)
			require.NoError(t, err)
			d := r.(*dnsResolver)
			require.Equal(t, c.wantFamily, d.family)
			require.Equal(t, c.wantServer, d.server)
			require.Equal(t, c.wantName, d.name)
			require.Equal(t, c.wantPort, d.port)
			require.Equal(t, c.wantURL, d.url)
		})
	}
}

// An error says what to write instead.
func TestDNSAndSRVMalformed(t *testing.T) {
	for _, c := range []struct {
		make                func(network, name, server string) (Refresher, error)
		network, name, want string
	}{
		{DNS, "tcp", "", "write dns:///host:port"},
		{DNS, "tcp", "calc.internal", "write dns:///host:port"},
		{DNS, "tcp", "calc.internal:", "write dns:///host:port"},
		{DNS, "tcp", ":1234", "write dns:///host:port"},
		{DNS, "tcp", "calc:0", `the address "dns:///calc:0" has the port "0"; want a number from 1 to 65535`},
		{DNS, "tcp", "a/b:1", "write dns:///host:port"},
		{DNS, "unix", "calc:1234", `the address "dns:///calc:1234" is for TCP, not for the network "unix"`},
		{SRV, "tcp", "", "write srv:///name"},
		{SRV, "tcp", "_rpc._tcp.calc:1234", "has a port; leave it out"},
		{SRV, "unix", "_rpc._tcp.calc", `not for the network "unix"`},
	} {
		t.Run(c.want, func(t *testing.T) {
			r, err := c.make(c.network, c.name, "")
			require.Nil(t, r)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestHostIsQueriedAgainWhenTheTTLEnds(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Hosts(30, "192.0.2.2", "192.0.2.1")
		w := z.watch(z.HostResolver("tcp"))
		ds := w.received()
		require.Equal(t, []string{"192.0.2.1:1234", "192.0.2.2:1234"}, addresses(t, ds))
		require.Equal(t, map[string]string{"host": "calc.example"}, ds[0].set[0].Metadata)

		z.Hosts(600, "192.0.2.1", "192.0.2.3")
		require.Empty(t, w.within(29*time.Second), "the TTL has not ended")
		require.Equal(t, []string{"192.0.2.1:1234", "192.0.2.3:1234"}, addresses(t, w.within(4*time.Second+time.Millisecond)))

		queries := z.Asked("calc.example.", dnstest.TypeA)
		require.Empty(t, w.within(time.Hour), "an unchanged answer is not delivered")
		queries = z.Asked("calc.example.", dnstest.TypeA) - queries
		require.InDelta(t, 11, queries, 1.01, "ten minutes are too long: every five")

		z.Hosts(0, "192.0.2.1", "192.0.2.3")
		w.within(6 * time.Minute)
		queries = z.Asked("calc.example.", dnstest.TypeA)
		w.within(time.Minute)
		queries = z.Asked("calc.example.", dnstest.TypeA) - queries
		require.InDelta(t, 57, queries, 4, "no TTL is too short: every second")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

func TestHostOfBothFamilies(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Hosts(30, "192.0.2.1")
		z.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{TTL: 5, Records: []dnstest.Record{dnstest.IP("2001:db8::1")}})
		for network, want := range map[string][]string{
			"tcp":  {"192.0.2.1:1234", "[2001:db8::1]:1234"},
			"tcp4": {"192.0.2.1:1234"},
			"tcp6": {"[2001:db8::1]:1234"},
		} {
			w := z.watch(z.HostResolver(network))
			require.Equal(t, want, addresses(t, w.received()))
			require.ErrorIs(t, w.stop(), context.Canceled)
		}
	})
}

func TestIPAddressInsteadOfAName(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		w := z.watch(z.dns("tcp", "[2001:db8::1]:1234", ""))
		require.Equal(t, []string{"[2001:db8::1]:1234"}, addresses(t, w.received()))
		require.Empty(t, w.within(time.Hour))
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// A failure is delivered once and changes nothing; its end is delivered, too.
func TestFailureOfTheNameServer(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Hosts(5, "192.0.2.1")
		w := z.watch(z.HostResolver("tcp4"))
		require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, w.received()))

		z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		err := failure(t, w.within(6*time.Second))
		require.EqualError(t, err, "rpcx: resolve "+hostURL+": lookup calc.example. on 192.0.2.53:53: server misbehaving")
		queries := z.Asked("calc.example.", dnstest.TypeA)
		require.Empty(t, w.within(time.Hour), "once is enough")
		queries = z.Asked("calc.example.", dnstest.TypeA) - queries
		require.Less(t, queries, 4*90, "the pauses grow")

		z.Hosts(5, "192.0.2.1")
		require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, w.within(90*time.Second)))

		z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{Silent: true})
		require.ErrorContains(t, failure(t, w.within(2*time.Minute)), "i/o timeout")
		z.Forget()
		require.ErrorContains(t, failure(t, w.within(5*time.Minute)), "no such host")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// Watch does not wait for a name server that does not answer.
func TestWatchEndsDuringALookup(t *testing.T) {
	for _, of := range []func(*Zone, string) Resolver{(*Zone).HostResolver, (*Zone).ServiceResolver} {
		InZone(t, func(t *testing.T, z *Zone) {
			z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{Silent: true})
			z.Set("_rpc._tcp.calc.example.", dnstest.TypeSRV, dnstest.Answer{Silent: true})
			w := z.watch(of(z, "tcp4"))
			begin := time.Now()
			require.ErrorIs(t, w.stop(), context.Canceled)
			require.Zero(t, time.Since(begin))
			require.Empty(t, w.received())
		})
	}
}

func named(host string) map[string]string { return map[string]string{MetadataHost: host} }

func TestServiceWithTheSystemsNameServer(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Service(30,
			dnstest.SRV(10, 0, 4, "c.example."), dnstest.SRV(0, 5, 2, "b.example."),
			dnstest.SRV(0, 0, 1, "a.example."), dnstest.SRV(0, 5, 2, "b.example."))
		w := z.watch(z.srv("tcp", ServiceName+".", ""))
		ds := w.received()
		require.Len(t, ds, 1)
		require.Equal(t, []Endpoint{
			{Address: "a.example.:1", Metadata: named("a.example")},
			{Address: "b.example.:2", Weight: 5, Metadata: named("b.example")},
			{Address: "c.example.:4", Priority: 10, Metadata: named("c.example")},
		}, ds[0].set, "net.Dial resolves the targets, in no search domain; certificates have their names")
		require.Zero(t, z.Asked("a.example.", dnstest.TypeA))

		z.Service(30, dnstest.SRV(0, 0, 0, "."))
		require.Empty(t, addresses(t, w.within(34*time.Second)), "decidedly not available (RFC 2782)")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

func TestServiceWithItsOwnNameServer(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Service(300, dnstest.SRV(1, 7, 1234, "calc.example."), dnstest.SRV(2, 0, 1, "gone.example."))
		z.Hosts(3, "192.0.2.1", "192.0.2.2")
		w := z.watch(z.ServiceResolver("tcp4"))
		ds := w.received()
		require.Len(t, ds, 1)
		host := map[string]string{"host": "calc.example"}
		require.Equal(t, []Endpoint{
			{Address: "192.0.2.1:1234", Weight: 7, Priority: 1, Metadata: host},
			{Address: "192.0.2.2:1234", Weight: 7, Priority: 1, Metadata: host},
		}, ds[0].set, "no other server knows calc.example; gone.example is gone")

		z.Hosts(3, "192.0.2.1")
		require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, w.within(4*time.Second)), "the smallest TTL counts")
		z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		require.ErrorContains(t, failure(t, w.within(4*time.Second)), "server misbehaving")
		z.Service(300, dnstest.SRV(2, 0, 1, "gone.example."))
		require.ErrorContains(t, failure(t, w.within(time.Minute)), "no such host")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// A resolver that several clients use has each of them query when one is asked to.
func TestRefreshIsForEveryWatch(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Hosts(300, "192.0.2.1")
		r := z.HostResolver("tcp4")
		watches := []*watched{z.watch(r), z.watch(r)}
		for _, w := range watches {
			require.Len(t, w.received(), 1)
		}
		z.Hosts(300, "192.0.2.2")
		r.(Refresher).Refresh()
		for _, w := range watches {
			require.Equal(t, []string{"192.0.2.2:1234"}, addresses(t, w.within(time.Second)))
			require.ErrorIs(t, w.stop(), context.Canceled)
		}
	})
}
