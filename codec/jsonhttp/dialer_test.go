package jsonhttp_test

import (
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
)

// The address is the host; path, query, user and TLS are the configuration's.
func TestDialer(t *testing.T) {
	for name, c := range map[string]struct {
		url    string
		secure bool
	}{
		"plain":         {"http://u:p@/rpc?v=1", false},
		"with a host":   {"http://u:p@calc.example.com:1/rpc?v=1", false},
		"secure":        {"https://u:p@/rpc?v=1", true},
		"secure, named": {"https://u:p@calc.example.com/rpc?v=1", true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan *http.Request, 1)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r
				w.Write([]byte(`{"jsonrpc":"2.0","result":5,"id":0}`)) //nolint:errcheck // a test's server
			}))
			if c.secure {
				s.StartTLS()
			} else {
				s.Start()
			}
			defer s.Close()
			cfg := jsonhttp.Config{URL: c.url, Header: http.Header{"X-Test": {"1"}}, Client: s.Client()}
			addr := s.Listener.Addr().String()
			conn, err := jsonhttp.Dialer(cfg)(t.Context(), "tcp", addr)
			require.NoError(t, err)
			client := rpc.NewClientWithCodec(codec.NewJSON2Client(conn))
			defer client.Close()
			var n int
			require.NoError(t, client.Call("A.B", 1, &n))
			require.Equal(t, 5, n)
			r := <-asked
			user, password, _ := r.BasicAuth()
			require.Equal(t, []string{addr, "/rpc?v=1", "1", "u", "p"}, []string{r.Host, r.RequestURI, r.Header.Get("X-Test"), user, password})
			require.Equal(t, c.url, cfg.URL)
			require.Contains(t, conn.RemoteAddr().String(), addr)
		})
	}
}

// Dialing reports invalid fields, without the secrets of the URL.
func TestDialerErrors(t *testing.T) {
	for want, c := range map[string]struct{ url, network string }{
		"want tcp": {"http:///", "unix"},
		"jsonhttp: Config.URL is no http or https URL with a host": {"ftp://secret@/", "tcp"},
		"jsonhttp: Config.URL: ":                                   {"http://secret@%zz/", "tcp"},
	} {
		conn, err := jsonhttp.Dialer(jsonhttp.Config{URL: c.url})(t.Context(), c.network, "127.0.0.1:1")
		require.ErrorContains(t, err, want)
		require.False(t, strings.Contains(err.Error(), "secret"), err)
		require.True(t, conn == nil, "no typed nil")
	}
}
