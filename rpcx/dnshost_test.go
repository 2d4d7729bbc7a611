package rpcx

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/dnstest"
	"resilientrpc/rpcx/internal/dnsttl"
)

// mute are the ways of a name server not to answer questions of one type.
var mute = map[string]dnstest.Answer{
	"server failure": {RCode: dnstest.ServerFailure},
	"refused":        {RCode: 5},
	"unknown type":   {RCode: 4},
	"silent":         {Silent: true},
}

func ips(ttl uint32, addresses ...string) dnstest.Answer {
	a := dnstest.Answer{TTL: ttl}
	for _, address := range addresses {
		a.Records = append(a.Records, dnstest.IP(address))
	}
	return a
}

// A name server that fails all questions of type AAAA made a host with A records
// unknown for good.
func TestHostOfWhichOneFamilyAlwaysFails(t *testing.T) {
	for name, failing := range mute {
		t.Run(name, func(t *testing.T) {
			inZone(t, func(t *testing.T, z *zone) {
				z.Set("calc.example.", dnstest.TypeA, ips(30, "192.0.2.1"))
				z.Set("calc.example.", dnstest.TypeAAAA, failing)
				w := z.watch("tcp", hostURL)
				require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, append(w.take(), w.within(familyGrace)...)))
				require.Empty(t, w.within(time.Hour), "no failure: nothing is missing that was ever there")
				asked := z.Asked("calc.example.", dnstest.TypeA)
				require.InDelta(t, 3600/30, asked, 20, "asked for when the TTL is over")

				z.Set("calc.example.", dnstest.TypeAAAA, ips(30, "2001:db8::1"))
				require.Equal(t, []string{"192.0.2.1:1234", "[2001:db8::1]:1234"}, addresses(t, w.within(34*time.Second)))
				require.ErrorIs(t, w.stop(), context.Canceled)
			})
			inZone(t, func(t *testing.T, z *zone) {
				z.Set("calc.example.", dnstest.TypeA, failing)
				z.Set("calc.example.", dnstest.TypeAAAA, ips(30, "2001:db8::1"))
				w := z.watch("tcp", hostURL)
				require.Equal(t, []string{"[2001:db8::1]:1234"}, addresses(t, append(w.take(), w.within(familyGrace)...)))
				require.ErrorIs(t, w.stop(), context.Canceled)
			})
		})
	}
}

// A family that fails for once is asked for again soon, and not when a long TTL ends.
func TestHostOfWhichOneFamilyFailsFirst(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.Set("calc.example.", dnstest.TypeA, ips(3600, "192.0.2.1"))
		z.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{RCode: dnstest.ServerFailure})
		w := z.watch("tcp", hostURL)
		require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, w.take()))
		z.Set("calc.example.", dnstest.TypeAAAA, ips(3600, "2001:db8::1"))
		require.Len(t, addresses(t, w.within(3*time.Second)), 2)
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// What a family had when it was last answered for stays, whatever the failure, while
// the other family may change.
func TestHostOfWhichAFamilyFailsKeepsIt(t *testing.T) {
	for name, failing := range mute {
		t.Run(name, func(t *testing.T) {
			inZone(t, func(t *testing.T, z *zone) {
				z.Set("calc.example.", dnstest.TypeA, ips(5, "192.0.2.1"))
				z.Set("calc.example.", dnstest.TypeAAAA, ips(5, "2001:db8::1"))
				w := z.watch("tcp", hostURL)
				require.Len(t, addresses(t, w.take()), 2)

				z.Set("calc.example.", dnstest.TypeA, failing)
				require.ErrorContains(t, failure(t, w.within(7*time.Second)), "rpcx: resolve "+hostURL)
				z.Set("calc.example.", dnstest.TypeAAAA, ips(5, "2001:db8::2"))
				require.Equal(t, []string{"192.0.2.1:1234", "[2001:db8::2]:1234"}, addresses(t, w.within(10*time.Second)))

				z.Set("calc.example.", dnstest.TypeAAAA, failing)
				w.within(2 * time.Minute) // both fail
				z.Set("calc.example.", dnstest.TypeA, ips(5, "192.0.2.1"))
				z.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{})
				ds := w.within(2 * time.Minute)
				require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, ds[len(ds)-1:]), "the DNS says that there are no others")
				require.ErrorIs(t, w.stop(), context.Canceled)
			})
		})
	}
}

func TestServiceOfWhichOneFamilyAlwaysFails(t *testing.T) {
	for name, failing := range mute {
		t.Run(name, func(t *testing.T) {
			inZone(t, func(t *testing.T, z *zone) {
				var records []dnstest.Record
				var want []string
				for i := range 40 {
					host, ip := fmt.Sprintf("h%d.example.", i), fmt.Sprintf("192.0.2.%d", 10+i)
					records, want = append(records, dnstest.SRV(0, 0, 7, host)), append(want, ip+":7")
					z.Set(host, dnstest.TypeA, ips(30, ip))
					z.Set(host, dnstest.TypeAAAA, failing)
				}
				z.service(30, records...)
				w := z.watch("tcp", serviceURL)
				require.Equal(t, want, addresses(t, append(w.take(), w.within(6*time.Second)...)), "in the time that Dial has")
				require.ErrorIs(t, w.stop(), context.Canceled)
			})
		})
	}
}

// One target whose addresses cannot be learned does not hide the others, and keeps
// those that it had.
func TestServiceOfWhichATargetFails(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.service(5, dnstest.SRV(0, 0, 7, "calc.example."), dnstest.SRV(0, 0, 7, "other.example."))
		z.hosts(5, "192.0.2.1")
		z.Set("other.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		w := z.watch("tcp4", serviceURL)
		ds := w.take()
		require.Len(t, ds, 2)
		require.Equal(t, []string{"192.0.2.1:7"}, addresses(t, ds[:1]))
		require.ErrorContains(t, failure(t, ds[1:]), "other.example")

		z.Set("other.example.", dnstest.TypeA, ips(5, "192.0.2.2"))
		require.Equal(t, []string{"192.0.2.1:7", "192.0.2.2:7"}, addresses(t, w.within(6*time.Second)))
		z.Set("other.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		require.ErrorContains(t, failure(t, w.within(6*time.Second)), "other.example")
		z.hosts(5, "192.0.2.3")
		require.Equal(t, []string{"192.0.2.2:7", "192.0.2.3:7"}, addresses(t, w.within(20*time.Second)))
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// A record that cannot be right is left out, and reported.
func TestServiceWithPort0(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.hosts(5, "192.0.2.1")
		z.service(5, dnstest.SRV(0, 0, 0, "calc.example."), dnstest.SRV(0, 0, 7, "calc.example."))
		for _, url := range []string{serviceURL, "srv:///_rpc._tcp.calc.example."} {
			w := z.watch("tcp4", url)
			ds := w.take()
			require.Len(t, ds, 2)
			require.Len(t, addresses(t, ds[:1]), 1)
			require.ErrorContains(t, failure(t, ds[1:]), "the record of target calc.example. has the port 0")
			require.ErrorIs(t, w.stop(), context.Canceled)
		}
		z.service(5, dnstest.SRV(0, 0, 0, "calc.example."))
		w := z.watch("tcp4", serviceURL)
		require.ErrorContains(t, failure(t, w.take()), "has the port 0")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// The addresses of a name that is not the first of a search list are another host's,
// unless all names before it do not exist.
func TestFailureBeforeTheNameThatWasFound(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.hosts(5, "192.0.2.1")
		resolver, observer := dnsttl.Resolver(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return z.net.DialContext(ctx, network, "192.0.2.53:53")
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
			require.Equal(t, c.want, precedes(c.failed, c.found, observer), "%q", c)
		}
	})
}

// Real sockets, a whole client: the packets with questions of type AAAA are lost.
func TestDialAHostOfWhichOneFamilyAlwaysFails(t *testing.T) {
	for name, failing := range mute {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serveTCP(t)
			s := new(dnstest.Server)
			s.Set("calc.example.", dnstest.TypeA, ips(30, "127.0.0.1"))
			s.Set("calc.example.", dnstest.TypeAAAA, failing)
			port := netip.MustParseAddrPort(server).Port()
			c, err := Dial("tcp", fmt.Sprintf("dns://%s/calc.example:%d", s.Listen(t), port))
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
func TestAllDownAsksAtOnce_gocql1713(t *testing.T) {
	for _, url := range []string{hostURL, serviceURL} {
		t.Run(url, func(t *testing.T) {
			inZone(t, func(t *testing.T, z *zone) {
				z.hosts(3600, "192.0.2.1", "192.0.2.2")
				z.service(3600, dnstest.SRV(0, 0, 1234, "calc.example."))
				for _, ip := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
					serve(z.net.Listen(ip + ":1234"))
				}
				d := Dialer{Resolver: z.resolver("tcp4", url), NetDial: z.net.DialContext}
				c, err := d.Dial("tcp4")
				require.NoError(t, err)
				defer c.Close()
				time.Sleep(20 * time.Second)
				asked := z.Asked("calc.example.", dnstest.TypeA)
				require.Equal(t, 1, asked)

				for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
					z.net.Refuse(ip + ":1234")
					z.net.Cut(ip + ":1234")
				}
				time.Sleep(time.Minute)
				asked = z.Asked("calc.example.", dnstest.TypeA) - asked
				require.Greater(t, asked, 10, "again and again while all are down")
				require.Less(t, asked, 30, "every few seconds")

				z.hosts(3600, "192.0.2.3")
				time.Sleep(5 * time.Second)
				require.NoError(t, c.Call("Sum.Of", [2]int{1, 2}, new(int)))
				asked = z.Asked("calc.example.", dnstest.TypeA)
				time.Sleep(4 * time.Minute)
				require.Equal(t, asked, z.Asked("calc.example.", dnstest.TypeA), "no more once one is up")
			})
		})
	}
}

// The same while the name server fails, and the pause between two questions is long.
func TestAllDownAsksAtOnceAfterFailures(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.hosts(2, "192.0.2.1")
		serve(z.net.Listen("192.0.2.1:1234"))
		serve(z.net.Listen("192.0.2.2:1234"))
		d := Dialer{Resolver: z.resolver("tcp4", hostURL), NetDial: z.net.DialContext}
		c, err := d.Dial("tcp4")
		require.NoError(t, err)
		defer c.Close()
		z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		time.Sleep(10 * time.Minute)
		z.net.Refuse("192.0.2.1:1234")
		z.net.Cut("192.0.2.1:1234")
		time.Sleep(10 * time.Second)
		z.hosts(2, "192.0.2.2")
		time.Sleep(5 * time.Second)
		require.NoError(t, c.Call("Sum.Of", [2]int{1, 2}, new(int)))
		synctest.Wait()
	})
}
