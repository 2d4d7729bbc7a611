package resolver

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/dnstest"
	"resilientrpc/rpcx/internal/dnsttl"
)

// A name server that failed all AAAA queries made a host with A records unknown for ever.
func TestHostWithAFamilyThatAlwaysFails(t *testing.T) {
	for name, failing := range Failing {
		t.Run(name, func(t *testing.T) {
			InZone(t, func(t *testing.T, z *Zone) {
				z.Set("calc.example.", dnstest.TypeA, IPs(30, "192.0.2.1"))
				z.Set("calc.example.", dnstest.TypeAAAA, failing)
				w := z.watch(z.HostResolver("tcp"))
				require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, append(w.received(), w.within(familyGrace)...)))
				require.Empty(t, w.within(time.Hour), "no failure: no address is missing that was known")
				queries := z.Asked("calc.example.", dnstest.TypeA)
				require.InDelta(t, 3600/30, queries, 20, "queried when the TTL ends")

				z.Set("calc.example.", dnstest.TypeAAAA, IPs(30, "2001:db8::1"))
				require.Equal(t, []string{"192.0.2.1:1234", "[2001:db8::1]:1234"}, addresses(t, w.within(34*time.Second)))
				require.ErrorIs(t, w.stop(), context.Canceled)
			})
			InZone(t, func(t *testing.T, z *Zone) {
				z.Set("calc.example.", dnstest.TypeA, failing)
				z.Set("calc.example.", dnstest.TypeAAAA, IPs(30, "2001:db8::1"))
				w := z.watch(z.HostResolver("tcp"))
				require.Equal(t, []string{"[2001:db8::1]:1234"}, addresses(t, append(w.received(), w.within(familyGrace)...)))
				require.ErrorIs(t, w.stop(), context.Canceled)
			})
		})
	}
}

// A family whose query fails once is queried again soon, and not when a long TTL ends.
func TestHostWithAFamilyThatFailsFirst(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Set("calc.example.", dnstest.TypeA, IPs(3600, "192.0.2.1"))
		z.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{RCode: dnstest.ServerFailure})
		w := z.watch(z.HostResolver("tcp"))
		require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, w.received()))
		z.Set("calc.example.", dnstest.TypeAAAA, IPs(3600, "2001:db8::1"))
		require.Len(t, addresses(t, w.within(3*time.Second)), 2)
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// The addresses of a family's last answer stay after any failure, while those of the
// other family may change.
func TestHostKeepsAFamilyThatFails(t *testing.T) {
	for name, failing := range Failing {
		t.Run(name, func(t *testing.T) {
			InZone(t, func(t *testing.T, z *Zone) {
				z.Set("calc.example.", dnstest.TypeA, IPs(5, "192.0.2.1"))
				z.Set("calc.example.", dnstest.TypeAAAA, IPs(5, "2001:db8::1"))
				w := z.watch(z.HostResolver("tcp"))
				require.Len(t, addresses(t, w.received()), 2)

				z.Set("calc.example.", dnstest.TypeA, failing)
				require.ErrorContains(t, failure(t, w.within(7*time.Second)), "rpcx: resolve "+hostURL)
				z.Set("calc.example.", dnstest.TypeAAAA, IPs(5, "2001:db8::2"))
				require.Equal(t, []string{"192.0.2.1:1234", "[2001:db8::2]:1234"}, addresses(t, w.within(10*time.Second)))

				z.Set("calc.example.", dnstest.TypeAAAA, failing)
				w.within(2 * time.Minute) // both fail
				z.Set("calc.example.", dnstest.TypeA, IPs(5, "192.0.2.1"))
				z.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{})
				ds := w.within(2 * time.Minute)
				require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, ds[len(ds)-1:]), "DNS says that there are no others")
				require.ErrorIs(t, w.stop(), context.Canceled)
			})
		})
	}
}

func TestServiceWithAFamilyThatAlwaysFails(t *testing.T) {
	for name, failing := range Failing {
		t.Run(name, func(t *testing.T) {
			InZone(t, func(t *testing.T, z *Zone) {
				var records []dnstest.Record
				var want []string
				for i := range 40 {
					host, ip := fmt.Sprintf("h%d.example.", i), fmt.Sprintf("192.0.2.%d", 10+i)
					records, want = append(records, dnstest.SRV(0, 0, 7, host)), append(want, ip+":7")
					z.Set(host, dnstest.TypeA, IPs(30, ip))
					z.Set(host, dnstest.TypeAAAA, failing)
				}
				z.Service(30, records...)
				w := z.watch(z.ServiceResolver("tcp"))
				require.Equal(t, want, addresses(t, append(w.received(), w.within(6*time.Second)...)), "within the time that Dial waits")
				require.ErrorIs(t, w.stop(), context.Canceled)
			})
		})
	}
}

// A target whose addresses cannot be determined does not hide the others, and keeps its
// last addresses.
func TestServiceWithATargetThatFails(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Service(5, dnstest.SRV(0, 0, 7, "calc.example."), dnstest.SRV(0, 0, 7, "other.example."))
		z.Hosts(5, "192.0.2.1")
		z.Set("other.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		w := z.watch(z.ServiceResolver("tcp4"))
		ds := w.received()
		require.Len(t, ds, 2)
		require.Equal(t, []string{"192.0.2.1:7"}, addresses(t, ds[:1]))
		require.ErrorContains(t, failure(t, ds[1:]), "other.example")

		z.Set("other.example.", dnstest.TypeA, IPs(5, "192.0.2.2"))
		require.Equal(t, []string{"192.0.2.1:7", "192.0.2.2:7"}, addresses(t, w.within(6*time.Second)))
		z.Set("other.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		require.ErrorContains(t, failure(t, w.within(6*time.Second)), "other.example")
		z.Hosts(5, "192.0.2.3")
		require.Equal(t, []string{"192.0.2.2:7", "192.0.2.3:7"}, addresses(t, w.within(20*time.Second)))
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// A record that cannot be valid is left out, and reported.
func TestServiceWithPort0(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Hosts(5, "192.0.2.1")
		z.Service(5, dnstest.SRV(0, 0, 0, "calc.example."), dnstest.SRV(0, 0, 7, "calc.example."))
		for _, server := range []string{nameServer, ""} {
			w := z.watch(z.srv("tcp4", ServiceName+".", server))
			ds := w.received()
			require.Len(t, ds, 2)
			require.Len(t, addresses(t, ds[:1]), 1)
			require.ErrorContains(t, failure(t, ds[1:]), "the record of target calc.example. has the port 0")
			require.ErrorIs(t, w.stop(), context.Canceled)
		}
		z.Service(5, dnstest.SRV(0, 0, 0, "calc.example."))
		w := z.watch(z.ServiceResolver("tcp4"))
		require.ErrorContains(t, failure(t, w.received()), "has the port 0")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// The addresses of a name that is not the first of a search list belong to another host,
// unless no name before it exists.
func TestFailureBeforeTheNameThatWasFound(t *testing.T) {
	InZone(t, func(t *testing.T, z *Zone) {
		z.Hosts(5, "192.0.2.1")
		resolver, observer := dnsttl.Resolver(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return z.Net.DialContext(ctx, network, "192.0.2.53:53")
		})
		for _, name := range []string{"none1.example.", "none2.example.", "calc.example."} {
			resolver.LookupNetIP(t.Context(), "ip4", name) //nolint:errcheck // the observer is under test
		}
		none := observer.Asked(dnsttl.TypeA)
		require.Len(t, none, 3)
		require.True(t, observer.NoSuchName(none[0]))
		require.False(t, observer.NoSuchName(none[2]))
		for _, c := range []struct {
			failed, found []string
			want          bool
		}{
			{nil, nil, false}, // in the hosts file
			{none[:1], none[:1], false},
			{none[:2], none[:1], false},
			{nil, []string{"maybe", none[2]}, true},
			{[]string{"maybe"}, []string{"maybe", none[2]}, true},
			{[]string{"maybe", none[2]}, []string{"maybe", none[2]}, false},
			{none[:1], none, false},
			{none[:1], []string{none[0], "maybe", none[2]}, true},
		} {
			require.Equal(t, c.want, failedEarlier(c.failed, c.found, observer), "%q", c)
		}
	})
}
