package jsonhttp_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"net/rpc/jsonrpc"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
)

// listen serves each connection with serve, and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return lis.Addr().String()
}

// answers is a server of something else: it sends text when the first bytes have come, and
// hangs up.
func answers(text string) func(net.Conn) {
	return func(conn net.Conn) {
		defer conn.Close()
		conn.Read(make([]byte, 4<<10)) //nolint:errcheck // a test's server
		io.WriteString(conn, text)     //nolint:errcheck // likewise
	}
}

const (
	plainHangsUp  = "the server has never answered: one without HTTP (leave Dialer.NetDial nil) or a TLS server (write https in Config.URL) ends the connection like that, and so does a proxy without a server behind it"
	secureHangsUp = "the server has never answered: one without TLS (write http in Config.URL) or without HTTP (leave Dialer.NetDial nil) ends the connection like that, and so does a proxy without a server behind it"
	noHTTP        = "the server does not speak HTTP: leave Dialer.NetDial nil for JSON-RPC without HTTP, or check the address"
)

// A server that does not speak HTTP, or TLS, is explained, and the failure is kept.
func TestOtherServers(t *testing.T) {
	server, _ := newServer(t)
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	secure := &tls.Config{Certificates: web.TLS.Certificates}
	for name, c := range map[string]struct {
		scheme string
		serve  func(net.Conn)
		want   string
	}{
		"gob":               {"http", func(c net.Conn) { server.ServeConn(c) }, plainHangsUp},
		"JSON-RPC 1.0":      {"http", func(c net.Conn) { server.ServeCodec(jsonrpc.NewServerCodec(c)) }, plainHangsUp},
		"JSON-RPC 2.0":      {"http", func(c net.Conn) { server.ServeCodec(codec.NewJSON2Server(c)) }, noHTTP},
		"mail":              {"http", answers("220 mail.example.com ESMTP\r\n"), noHTTP},
		"TLS":               {"http", func(c net.Conn) { server.ServeConn(tls.Server(c, secure)) }, plainHangsUp},
		"TLS that answers":  {"http", answers("\x15\x03\x01\x00\x02\x02\x46"), "the server is a TLS server: write https in Config.URL"},
		"proxy":             {"http", func(c net.Conn) { c.Close() }, plainHangsUp},
		"gob, with TLS":     {"https", func(c net.Conn) { server.ServeConn(c) }, secureHangsUp},
		"HTTP, with TLS":    {"https", answers("HTTP/1.1 400 Bad Request\r\n\r\n"), "the server has no TLS: write http in Config.URL"},
		"mail, with TLS":    {"https", answers("220 mail.example.com ESMTP\r\n"), "the server does not speak TLS: write http in Config.URL, or check the address"},
		"proxy, with TLS":   {"https", func(c net.Conn) { c.Close() }, secureHangsUp},
		"gob, through TLS":  {"https", nil, ""},
		"a refused connect": {"http", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := jsonhttp.Config{URL: c.scheme + "://" + strings.TrimPrefix(refusedURL(t), "http://")}
			if c.serve != nil {
				cfg.URL = c.scheme + "://" + listen(t, c.serve)
			}
			conn, err := jsonhttp.NewConn(cfg)
			require.NoError(t, err)
			defer conn.Close()
			end := fails(t, codec.NewJSON2Client(conn), 0, "A.B")
			require.Equal(t, codec.NoAnswer, end.Answer)
			if c.want == "" {
				require.NotContains(t, end.Error(), ";")
				return
			}
			require.Regexp(t, "^jsonhttp: .+; .", end.Error())
			// net/http may not have sent the whole request when it sees the answer. Then its error
			// is that of the rest, and the answer is lost.
			cut := c.scheme == "http" && errors.Is(end, net.ErrClosed) && strings.HasSuffix(end.Error(), "; "+plainHangsUp)
			require.True(t, cut || strings.HasSuffix(end.Error(), "; "+c.want), end)
		})
	}
}

// A server that has answered speaks HTTP: when it ends a connection, that is not explained.
func TestAServerThatHasAnsweredIsNotExplained(t *testing.T) {
	var served atomic.Bool
	answer := answers("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	addr := listen(t, func(c net.Conn) {
		if served.Swap(true) {
			c.Close()
			return
		}
		answer(c)
	})
	conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: "http://" + addr})
	require.NoError(t, err)
	defer conn.Close()
	c := codec.NewJSON2Client(conn)
	require.ErrorContains(t, fails(t, c, 0, "A.B"), "204")
	end := fails(t, c, 1, "A.B")
	require.NotContains(t, end.Error(), "never answered")
	require.Equal(t, codec.NoAnswer, end.Answer)
}

// What is no JSON is an error of Write, which says what to change; a net/rpc client over a
// Conn would wait for ever otherwise.
func TestWhatAConnDoesNotCarry(t *testing.T) {
	conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: "http://127.0.0.1:1"})
	require.NoError(t, err)
	defer conn.Close()
	for _, c := range []struct{ text, want string }{
		{"\x2d\xff\x81\x03", "jsonhttp carries JSON-RPC 2.0: set Dialer.Codec to codec.NewJSON2Client"},
		{"CONNECT /_goRPC_ HTTP/1.0\n\n", "leave Dialer.HTTPPath empty with jsonhttp"},
		{"\x16\x03\x01\x02\x00", "leave Dialer.TLSConfig nil with jsonhttp: write https in Config.URL"},
	} {
		_, err := conn.Write([]byte(c.text))
		require.ErrorContains(t, err, c.want)
	}
	_, err = conn.Write([]byte("  "))
	require.NoError(t, err)
	_, err = conn.Write([]byte(`{"jsonrpc"`))
	require.NoError(t, err)
	require.NoError(t, conn.Carries(codec.NewJSON2Client(conn)))
	require.ErrorContains(t, conn.Carries(codec.NewGobClient(conn)), "codec.NewJSON2Client")

	fresh, err := jsonhttp.NewConn(jsonhttp.Config{URL: "http://127.0.0.1:1"})
	require.NoError(t, err)
	stock := rpc.NewClient(fresh)
	defer stock.Close()
	require.ErrorContains(t, stock.Call("Arith.Add", Args{1, 2}, new(int)), "jsonhttp carries JSON-RPC 2.0")
}

// JSON-RPC 1.0 works where the server accepts it, and the error says what to change where
// it does not.
func TestJSON1OverHTTP(t *testing.T) {
	server, _ := newServer(t)
	for want, handler := range map[string]http.Handler{
		"": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"result":3,"error":null,"id":0}`) //nolint:errcheck // a test's server
		}),
		"if the server speaks JSON-RPC 2.0, use codec.NewJSON2Client": jsonhttp.NewHandler(server),
	} {
		s := httptest.NewServer(handler)
		defer s.Close()
		conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: s.URL})
		require.NoError(t, err)
		c := rpc.NewClientWithCodec(codec.NewJSONClient(conn))
		defer c.Close()
		var sum int
		if err := c.Call("Arith.Add", Args{1, 2}, &sum); want != "" {
			require.ErrorContains(t, err, want)
		} else {
			require.NoError(t, err)
			require.Equal(t, 3, sum)
		}
	}
}

// closedIdle is what net/http says of a server that hangs up before the request is written.
type closedIdle struct{}

func (closedIdle) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("http: server closed idle connection")
}

// The error of a server that hung up at once had no explanation on a busy machine.
func TestServerThatHangsUpBeforeTheRequestIsExplained(t *testing.T) {
	conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: "http://a.example", Client: &http.Client{Transport: closedIdle{}}})
	require.NoError(t, err)
	defer conn.Close()
	end := fails(t, codec.NewJSON2Client(conn), 0, "A.B")
	require.Equal(t, codec.NoAnswer, end.Answer)
	require.ErrorContains(t, end, "closed idle connection; the server has never answered")
}
