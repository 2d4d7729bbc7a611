package debugpage

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page of another name that leads to this machine (DNS rebinding) is not served: it would be
// read by a script of that name's owner.
func TestNameOfALoopbackAddress(t *testing.T) {
	for _, c := range []struct {
		local, host string
		want        int
	}{
		{"127.0.0.1", "127.0.0.1:8080", 200},
		{"127.0.0.1", "localhost:8080", 200},
		{"127.0.0.1", "LOCALHOST.", 200},
		{"::1", "[::1]:8080", 200},
		{"::1", "[::1]", 200},
		{"127.0.0.1", "", 200}, // HTTP/1.0
		{"127.0.0.1", "rebound.example:8080", 403},
		{"127.0.0.1", "localhost.example", 403},
		{"::1", "rebound.example", 403},
		{"192.0.2.1", "ops.example", 200},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?format=json", http.NoBody)
		r.Host = c.host
		at := &net.TCPAddr{IP: net.ParseIP(c.local), Port: 8080}
		w := httptest.NewRecorder()
		h := &Handler{Clients: map[string]Client{"bank": newFake("a:1")}}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at)))
		require.Equal(t, c.want, w.Code, "%+v", c)
	}
}
