package rpcx

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/dnstest"
	"resilientrpc/rpcx/internal/simnet"
)

// A zone is a name server in virtual time.
type zone struct {
	*dnstest.Server
	net *simnet.Network
	t   *testing.T
}

func inZone(t *testing.T, f func(*testing.T, *zone)) {
	t.Helper()
	dnstest.Prepare()
	synctest.Test(t, func(t *testing.T) {
		z := &zone{new(dnstest.Server), simnet.New(), t}
		defer z.net.Close()
		go z.ServeStream(z.net.Listen("192.0.2.53:53"))
		f(t, z)
	})
}

// watch watches an address; all servers are z.
func (z *zone) watch(network, address string) *watched {
	z.t.Helper()
	w := watch(z.t, z.resolver(network, address))
	synctest.Wait()
	return w
}

func (z *zone) resolver(network, address string) Resolver {
	z.t.Helper()
	r, err := resolverFor(network, address)
	require.NoError(z.t, err)
	r.(*dnsResolver).dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return z.net.DialContext(ctx, network, "192.0.2.53:53")
	}
	return r
}

// hosts sets the addresses of calc.example, and that it has none of type AAAA.
func (z *zone) hosts(ttl uint32, addresses ...string) {
	a := dnstest.Answer{TTL: ttl}
	for _, address := range addresses {
		a.Records = append(a.Records, dnstest.IP(address))
	}
	z.Set("calc.example.", dnstest.TypeA, a)
	z.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{})
}

func (z *zone) service(ttl uint32, records ...dnstest.Record) {
	z.Set("_rpc._tcp.calc.example.", dnstest.TypeSRV, dnstest.Answer{TTL: ttl, Records: records})
}

const (
	hostURL    = "dns://192.0.2.53/calc.example:1234"
	serviceURL = "srv://192.0.2.53/_rpc._tcp.calc.example"
)

func TestHostIsAskedAgainWhenTheTTLIsOver(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.hosts(30, "192.0.2.2", "192.0.2.1")
		w := z.watch("tcp", hostURL)
		ds := w.take()
		require.Equal(t, []string{"192.0.2.1:1234", "192.0.2.2:1234"}, addresses(t, ds))
		require.Equal(t, map[string]string{"host": "calc.example"}, ds[0].set[0].Metadata)

		z.hosts(600, "192.0.2.1", "192.0.2.3")
		require.Empty(t, w.within(29*time.Second), "the answer still holds")
		require.Equal(t, []string{"192.0.2.1:1234", "192.0.2.3:1234"}, addresses(t, w.within(4*time.Second+time.Millisecond)))

		asked := z.Asked("calc.example.", dnstest.TypeA)
		require.Empty(t, w.within(time.Hour), "an unchanged answer is no delivery")
		asked = z.Asked("calc.example.", dnstest.TypeA) - asked
		require.InDelta(t, 11, asked, 1.01, "ten minutes are too long: every five")

		z.hosts(0, "192.0.2.1", "192.0.2.3")
		w.within(6 * time.Minute)
		asked = z.Asked("calc.example.", dnstest.TypeA)
		w.within(time.Minute)
		asked = z.Asked("calc.example.", dnstest.TypeA) - asked
		require.InDelta(t, 57, asked, 4, "no TTL is too short: every second")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

func TestHostOfBothFamilies(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.hosts(30, "192.0.2.1")
		z.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{TTL: 5, Records: []dnstest.Record{dnstest.IP("2001:db8::1")}})
		for network, want := range map[string][]string{
			"tcp":  {"192.0.2.1:1234", "[2001:db8::1]:1234"},
			"tcp4": {"192.0.2.1:1234"},
			"tcp6": {"[2001:db8::1]:1234"},
		} {
			w := z.watch(network, hostURL)
			require.Equal(t, want, addresses(t, w.take()))
			require.ErrorIs(t, w.stop(), context.Canceled)
		}
	})
}

func TestAddressInTheNamesPlace(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		w := z.watch("tcp", "dns:///[2001:db8::1]:1234")
		require.Equal(t, []string{"[2001:db8::1]:1234"}, addresses(t, w.take()))
		require.Empty(t, w.within(time.Hour))
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// A failure is said once and changes nothing; its end is said too.
func TestFailureOfTheServer(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.hosts(5, "192.0.2.1")
		w := z.watch("tcp4", hostURL)
		require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, w.take()))

		z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		err := failure(t, w.within(6*time.Second))
		require.EqualError(t, err, "rpcx: resolve "+hostURL+": lookup calc.example. on 192.0.2.53:53: server misbehaving")
		asked := z.Asked("calc.example.", dnstest.TypeA)
		require.Empty(t, w.within(time.Hour), "once is enough")
		asked = z.Asked("calc.example.", dnstest.TypeA) - asked
		require.Less(t, asked, 4*90, "the pauses grow")

		z.hosts(5, "192.0.2.1")
		require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, w.within(90*time.Second)))

		z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{Silent: true})
		require.ErrorContains(t, failure(t, w.within(2*time.Minute)), "i/o timeout")
		z.Forget()
		require.ErrorContains(t, failure(t, w.within(5*time.Minute)), "no such host")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

// Watch does not wait for a server that does not answer.
func TestWatchEndsDuringALookup(t *testing.T) {
	for _, url := range []string{hostURL, serviceURL} {
		inZone(t, func(t *testing.T, z *zone) {
			z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{Silent: true})
			z.Set("_rpc._tcp.calc.example.", dnstest.TypeSRV, dnstest.Answer{Silent: true})
			w := z.watch("tcp4", url)
			begin := time.Now()
			require.ErrorIs(t, w.stop(), context.Canceled)
			require.Zero(t, time.Since(begin))
			require.Empty(t, w.take())
		})
	}
}

func TestServiceOfTheSystemsServer(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.service(30,
			dnstest.SRV(10, 0, 4, "c.example."), dnstest.SRV(0, 5, 2, "b.example."),
			dnstest.SRV(0, 0, 1, "a.example."), dnstest.SRV(0, 5, 2, "b.example."))
		w := z.watch("tcp", "srv:///_rpc._tcp.calc.example.")
		ds := w.take()
		require.Len(t, ds, 1)
		require.Equal(t, []Endpoint{
			{Address: "a.example:1"},
			{Address: "b.example:2", Weight: 5},
			{Address: "c.example:4", Priority: 10},
		}, ds[0].set, "net.Dial resolves the targets, and certificates have their names")
		require.Zero(t, z.Asked("a.example.", dnstest.TypeA))

		z.service(30, dnstest.SRV(0, 0, 0, "."))
		require.Empty(t, addresses(t, w.within(34*time.Second)), "decidedly not available (RFC 2782)")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}

func TestServiceOfAnotherServer(t *testing.T) {
	inZone(t, func(t *testing.T, z *zone) {
		z.service(300, dnstest.SRV(1, 7, 1234, "calc.example."), dnstest.SRV(2, 0, 1, "gone.example."))
		z.hosts(3, "192.0.2.1", "192.0.2.2")
		w := z.watch("tcp4", serviceURL)
		ds := w.take()
		require.Len(t, ds, 1)
		host := map[string]string{"host": "calc.example"}
		require.Equal(t, []Endpoint{
			{Address: "192.0.2.1:1234", Weight: 7, Priority: 1, Metadata: host},
			{Address: "192.0.2.2:1234", Weight: 7, Priority: 1, Metadata: host},
		}, ds[0].set, "no other server knows calc.example; gone.example is gone")

		z.hosts(3, "192.0.2.1")
		require.Equal(t, []string{"192.0.2.1:1234"}, addresses(t, w.within(4*time.Second)), "the smallest TTL counts")
		z.Set("calc.example.", dnstest.TypeA, dnstest.Answer{RCode: dnstest.ServerFailure})
		require.ErrorContains(t, failure(t, w.within(4*time.Second)), "server misbehaving")
		z.service(300, dnstest.SRV(2, 0, 1, "gone.example."))
		require.ErrorContains(t, failure(t, w.within(time.Minute)), "no such host")
		require.ErrorIs(t, w.stop(), context.Canceled)
	})
}
