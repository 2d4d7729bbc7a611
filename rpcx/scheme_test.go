package rpcx

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResolverFor(t *testing.T) {
	for _, c := range []struct{ network, address, family, server, name, port string }{
		{"tcp", "dns:///calc.internal:1234", "ip", "", "calc.internal", "1234"},
		{"tcp4", "dns:///calc:http", "ip4", "", "calc", "http"},
		{"tcp6", "dns:///[2001:db8::1]:1234", "ip6", "", "2001:db8::1", "1234"},
		{"tcp", "dns://127.0.0.1:5353/calc.internal:1234", "ip", "127.0.0.1:5353", "calc.internal.", "1234"},
		{"tcp", "dns://[::1]/calc.internal.:1234", "ip", "[::1]:53", "calc.internal.", "1234"},
		{"tcp", "dns://ns1.internal/calc:1234", "ip", "ns1.internal:53", "calc.", "1234"},
		{"tcp", "srv:///_rpc._tcp.calc", "ip", "", "_rpc._tcp.calc", ""},
		{"tcp", "srv://127.0.0.1:8600/calc.service.consul", "ip", "127.0.0.1:8600", "calc.service.consul.", ""},
	} {
		t.Run(c.address, func(t *testing.T) {
			r, err := resolverFor(c.network, c.address)
			require.NoError(t, err)
			d := r.(*dnsResolver)
			require.Equal(t, c.family, d.family)
			require.Equal(t, c.server, d.server)
			require.Equal(t, c.name, d.name)
			require.Equal(t, c.port, d.port)
		})
	}
	r, err := resolverFor("unix", "file:///etc/calc%20replicas")
	require.NoError(t, err)
	require.Equal(t, &fileResolver{network: "unix", path: "/etc/calc replicas"}, r)
	for _, plain := range []string{"a:1", "dns:53", "", "[::1]:80", "/run/calc.sock"} {
		r, err := resolverFor("tcp", plain)
		require.NoError(t, err)
		require.Nil(t, r)
	}
}

// An error says what to write instead.
func TestResolverForMalformed(t *testing.T) {
	for _, c := range []struct{ network, address, want string }{
		{"tcp", "http://calc:1234", `the unknown scheme "http"; use dns, srv or file, or the plain "calc:1234"`},
		{"tcp", "://calc:1234", "is no URL"},
		{"tcp", "dns://", "write dns:///name"},
		{"tcp", "dns://calc.internal:1234", "write dns:///name"},
		{"tcp", "dns:///calc.internal", "write dns:///host:port"},
		{"tcp", "dns:///calc.internal:", "write dns:///host:port"},
		{"tcp", "dns:///:1234", "write dns:///host:port"},
		{"tcp", "dns:///a/b:1", "write dns:///name"},
		{"tcp", "dns://ns:port/calc:1234", "is no URL"},
		{"tcp", "dns:///calc:1234?ttl=5", "more than a scheme, a host and a path"},
		{"tcp", "dns://me@ns/calc:1234", "more than a scheme, a host and a path"},
		{"unix", "dns:///calc:1234", `not for the network "unix"`},
		{"tcp", "srv:///", "write srv:///name"},
		{"tcp", "srv:///_rpc._tcp.calc:1234", "has a port; leave it out"},
		{"unix", "srv:///_rpc._tcp.calc", `not for the network "unix"`},
		{"tcp", "file:///", "write file:///path"},
		{"tcp", "file://replicas", `names the host "replicas"; write file:///`},
	} {
		t.Run(c.address, func(t *testing.T) {
			r, err := resolverFor(c.network, c.address)
			require.Nil(t, r)
			require.ErrorContains(t, err, c.want)
		})
	}
}
