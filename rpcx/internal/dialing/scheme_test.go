package dialing_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/dialing"
	"resilientrpc/rpcx/internal/dnstest"
	"resilientrpc/rpcx/resolver"
)

// Each address with a scheme, with a name server on loopback, and its first set.
func TestResolver(t *testing.T) {
	s := new(dnstest.Server)
	s.Set("calc.example.", dnstest.TypeA, dnstest.Answer{Records: []dnstest.Record{dnstest.IP("192.0.2.1")}})
	s.Set("calc.example.", dnstest.TypeAAAA, dnstest.Answer{Records: []dnstest.Record{dnstest.IP("2001:db8::1")}})
	s.Set("_rpc._tcp.calc.example.", dnstest.TypeSRV, dnstest.Answer{Records: []dnstest.Record{dnstest.SRV(1, 2, 7, "calc.example.")}})
	server := s.Listen(t)
	file := filepath.Join(t.TempDir(), "calc replicas")
	require.NoError(t, os.WriteFile(file, []byte("/run/calc weight=2\n"), 0o600))
	calc := map[string]string{resolver.MetadataHost: "calc.example"}
	for _, c := range []struct {
		network, address string
		want             []resolver.Endpoint
	}{
		{"tcp", "dns:///192.0.2.1:http", []resolver.Endpoint{{Address: "192.0.2.1:http", Metadata: map[string]string{resolver.MetadataHost: "192.0.2.1"}}}},
		{"tcp6", "dns:///[2001:db8::1]:1234", []resolver.Endpoint{{Address: "[2001:db8::1]:1234", Metadata: map[string]string{resolver.MetadataHost: "2001:db8::1"}}}},
		{"tcp4", "dns://" + server + "/calc.example:1234", []resolver.Endpoint{{Address: "192.0.2.1:1234", Metadata: calc}}},
		{"tcp", "dns://" + server + "/calc.example.:1234", []resolver.Endpoint{{Address: "192.0.2.1:1234", Metadata: calc}, {Address: "[2001:db8::1]:1234", Metadata: calc}}},
		{"tcp6", "srv://" + server + "/_rpc._tcp.calc.example", []resolver.Endpoint{{Address: "[2001:db8::1]:7", Priority: 1, Weight: 2, Metadata: calc}}},
		{"unix", fileURL(filepath.Dir(file)) + "/calc%20replicas", []resolver.Endpoint{{Address: "/run/calc", Weight: 2}}},
	} {
		t.Run(c.network+" "+c.address, func(t *testing.T) {
			r, err := dialing.Resolver(c.network, c.address)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			err = r.Watch(ctx, func(set []resolver.Endpoint, err error) {
				require.NoError(t, err)
				require.Equal(t, c.want, set)
				cancel()
			})
			require.ErrorIs(t, err, context.Canceled)
		})
	}
	for _, plain := range []string{"a:1", "dns:53", "", "[::1]:80", "/run/calc.sock"} {
		r, err := dialing.Resolver("tcp", plain)
		require.NoError(t, err)
		require.Nil(t, r)
	}
}

// The addresses and the file of the package documentation are what it says.
func TestDocumentedAddresses(t *testing.T) {
	doc, err := os.ReadFile("../../doc.go")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(doc), "// # Addresses\n")
	require.True(t, found)
	section, _, found = strings.Cut(section, "// # ")
	require.True(t, found)
	schemes, file := make(map[string]int), ""
	for line := range strings.Lines(section) {
		switch text, indented := strings.CutPrefix(line, "//\t"); {
		case !indented:
		case strings.Contains(text, "://"):
			address := strings.Fields(text)[0]
			r, err := dialing.Resolver("tcp", address)
			require.NoError(t, err)
			require.NotNil(t, r)
			schemes[address[:strings.Index(address, ":")]]++
		default:
			file += text
		}
	}
	require.Equal(t, map[string]int{"dns": 2, "srv": 2, "file": 1}, schemes)

	path := filepath.Join(t.TempDir(), "calc.replicas")
	require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	r, err := dialing.Resolver("tcp", fileURL(path))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	err = r.Watch(ctx, func(set []resolver.Endpoint, err error) {
		require.NoError(t, err)
		require.Equal(t, []resolver.Endpoint{
			{Address: "10.0.0.1:7001"},
			{Address: "10.0.0.2:7001", Weight: 2},
			{Address: "10.9.0.1:7001", Priority: 1},
		}, set)
		cancel()
	})
	require.ErrorIs(t, err, context.Canceled)
}

func fileURL(path string) string {
	slash := ""
	if runtime.GOOS == "windows" {
		slash = "/"
	}
	return "file://" + slash + filepath.ToSlash(path)
}

// An error says what to write instead.
func TestResolverMalformed(t *testing.T) {
	for _, c := range []struct{ network, address, want string }{
		{"tcp", "tcp://calc:1234", `the unknown scheme "tcp"; use dns, srv or file, or the plain "calc:1234"`},
		{"tcp", "consul://x/y", `the unknown scheme "consul"; use dns, srv or file, or a plain host:port`},
		{"tcp", "consul://x:1/y", "or a plain host:port"},
		{"unix", "unix:///run/calc.sock", `or the plain path "/run/calc.sock"`},
		{"tcp", "http://h:1/rpc", `is a URL of HTTP; use the plain "h:1": for JSON-RPC over HTTP see package codec/jsonhttp; for net/rpc over HTTP use DialHTTPPath or Dialer.HTTPPath`},
		{"tcp", "https://me:x@h/rpc?v=1", `the address "https://me:xxxxx@h/rpc?v=1" is a URL of HTTP; use a plain host:port: for JSON-RPC`},
		{"tcp", "dns:///a:1,dns:///b:1", "a URL in a list; dial a URL alone, or list addresses of the form host:port"},
		{"tcp", "dns:///a:1,b:1", "a URL in a list"},
		{"tcp", "a:1,dns:///b:1", "a URL in a list"},
		{"tcp", "http://a:1,http://b:1", "a URL in a list"},
		{"tcp", "file:///a,file:///b", "a URL in a list"},
		{"tcp", "dns:///", `does not have one name after the server; write dns:///host:port`},
		{"tcp", "://calc:1234", "is no URL"},
		{"tcp", "dns://", "write dns:///host:port"},
		{"tcp", "dns://calc.internal:1234", "write dns:///host:port"},
		{"tcp", "dns:///calc.internal", `the address "dns:///calc.internal" does not end in a host and a port; write dns:///host:port`},
		{"tcp", "dns:///calc.internal:", "write dns:///host:port"},
		{"tcp", "dns:///:1234", "write dns:///host:port"},
		{"tcp", "dns:///a/b:1", "write dns:///host:port"},
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
			r, err := dialing.Resolver(c.network, c.address)
			require.Nil(t, r)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// A file that cannot be valid fails Dial at once, and not after 10 s.
func TestDialAFileThatCannotBeValid(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"):   "no such file",
		dir:                             "not a regular file",
		write("empty", ""):              "it names no endpoint",
		write("port", "a:1\nb:99999\n"): `line 2: the address "b:99999" has the port "99999"`,
		write("twice", "a:1\na:1\n"):    `line 2: the address "a:1" is on line 1 too`,
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			_, err := rpcx.Dial("tcp", fileURL(path))
			require.ErrorContains(t, err, "rpcx: the resolver has given up: resolve "+path)
			require.ErrorContains(t, err, want)
			require.Less(t, time.Since(begin), time.Second)
		})
	}
}
