package rpcx_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/dnstest"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/jsonrpc"
)

// accept serves a stock server on lis until the test ends.
func accept(t *testing.T, lis net.Listener, serve func(*rpc.Server, io.ReadWriteCloser)) {
	t.Helper()
	server := rpc.NewServer()
	require.NoError(t, server.Register(Arith{}))
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go serve(server, conn)
		}
	}()
}

func serveJSON(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(stdjson.NewServerCodec(c)) }

// multiplies dials and makes calls.
func multiplies(t *testing.T, d rpcx.Dialer, network, address string) {
	t.Helper()
	c, err := d.Dial(network, address)
	require.NoError(t, err)
	defer c.Close()
	for i := range 20 {
		var product int
		require.NoError(t, c.Call("Arith.Multiply", Args{i, 3}, &product))
		require.Equal(t, 3*i, product)
	}
}

func TestTLS(t *testing.T) {
	leak.Check(t)
	ts := httptest.NewTLSServer(nil)
	defer ts.Close()
	roots := ts.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for name, c := range map[string]struct {
		dialer rpcx.Dialer
		serve  func(*rpc.Server, io.ReadWriteCloser)
	}{
		"gob":  {rpcx.Dialer{}, (*rpc.Server).ServeConn},
		"json": {rpcx.Dialer{Codec: jsonrpc.NewClientCodec}, serveJSON},
	} {
		t.Run(name, func(t *testing.T) {
			lis, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: ts.TLS.Certificates})
			require.NoError(t, err)
			accept(t, lis, c.serve)
			d := c.dialer
			d.TLSConfig = &tls.Config{RootCAs: roots} // the name is taken from the address
			multiplies(t, d, "tcp", lis.Addr().String())

			// A resolver that looks names up delivers addresses, and the name with them.
			for host, want := range map[string]string{"example.com": "", "elsewhere.invalid": "elsewhere.invalid"} {
				d.Resolver = rpcx.Static(rpcx.Endpoint{Address: lis.Addr().String(), Metadata: map[string]string{rpcx.MetadataHost: host}})
				client, err := d.Dial("tcp")
				if want != "" {
					require.ErrorContains(t, err, want)
					continue
				}
				require.NoError(t, err)
				require.NoError(t, client.Close())
			}
			d.Resolver = nil

			d.TLSConfig = &tls.Config{RootCAs: roots, ServerName: "elsewhere.invalid"}
			_, err = d.Dial("tcp", lis.Addr().String())
			require.ErrorContains(t, err, "elsewhere.invalid")
		})
	}
}

// The names of a service's servers come from the DNS. An attacker on the path can answer
// with a name of their own, for which they have a valid certificate. TLSConfig can hold
// the client to a name that does not come from the DNS.
func TestServiceOverTLS(t *testing.T) {
	leak.Check(t)
	ts := httptest.NewTLSServer(nil) // has a certificate for example.com
	defer ts.Close()
	roots := ts.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	lis, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: ts.TLS.Certificates})
	require.NoError(t, err)
	accept(t, lis, (*rpc.Server).ServeConn)

	s := new(dnstest.Server)
	url := "srv://" + s.Listen(t) + "/_calc._tcp.calc.internal"
	port := uint16(lis.Addr().(*net.TCPAddr).Port)
	s.Set("_calc._tcp.calc.internal.", dnstest.TypeSRV, dnstest.Answer{TTL: 30, Records: []dnstest.Record{dnstest.SRV(0, 0, port, "example.com.")}})
	s.Set("example.com.", dnstest.TypeA, addressesOf("127.0.0.1"))

	multiplies(t, rpcx.Dialer{TLSConfig: &tls.Config{RootCAs: roots}}, "tcp", url) // the target's name
	fixed := rpcx.Dialer{TLSConfig: &tls.Config{RootCAs: roots, ServerName: "calc.internal"}}
	_, err = fixed.Dial("tcp", url)
	require.ErrorContains(t, err, "not calc.internal")
	fixed.TLSConfig.ServerName = "example.com"
	multiplies(t, fixed, "tcp", url)

	within := rpcx.Dialer{TLSConfig: &tls.Config{RootCAs: roots, VerifyConnection: func(s tls.ConnectionState) error {
		if !strings.HasSuffix(s.ServerName, ".calc.internal") {
			return fmt.Errorf("%s is no server of calc.internal", s.ServerName)
		}
		return nil
	}}}
	_, err = within.Dial("tcp", url)
	require.ErrorContains(t, err, "example.com is no server of calc.internal")
}

func TestUnixSocket(t *testing.T) {
	leak.Check(t)
	lis, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	accept(t, lis, (*rpc.Server).ServeConn)
	multiplies(t, rpcx.Dialer{}, "unix", lis.Addr().String())
}

func TestHTTP(t *testing.T) {
	leak.Check(t)
	server := rpc.NewServer()
	require.NoError(t, server.Register(Arith{}))
	mux := http.NewServeMux()
	mux.Handle("/calc", server)
	ts := httptest.NewServer(mux)
	defer ts.Close()
	addr := ts.Listener.Addr().String()
	multiplies(t, rpcx.Dialer{HTTPPath: "/calc"}, "tcp", addr)

	_, err := rpcx.DialHTTPPath("tcp", addr, "/none")
	require.ErrorContains(t, err, "unexpected HTTP response: 404 Not Found")
}

func TestForeignCodec(t *testing.T) {
	leak.Check(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accept(t, lis, serveJSON)
	multiplies(t, rpcx.Dialer{Codec: stdjson.NewClientCodec}, "tcp", lis.Addr().String())
}
