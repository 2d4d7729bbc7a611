package jsonhttp

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRequestsThatAreNeverWritten: a request that is canceled before it is written, and then is
// not written at all, leaves nothing behind.
func TestRequestsThatAreNeverWritten(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // its end is all that counts
	}))
	defer s.Close()
	c, err := NewConn(Config{URL: s.URL})
	require.NoError(t, err)
	defer c.Close()
	write := func(n uint64) {
		_, err := fmt.Fprintf(c, `{"method":"A.B","params":[1],"id":%d}`+"\n", n)
		require.NoError(t, err)
	}
	for n := uint64(0); n < 100; n += 3 {
		require.True(t, c.Cancel(n))
		require.True(t, c.Cancel(n+1))
		write(n + 1)
		write(n + 2)
		require.Empty(t, c.canceledEarly)
	}
}
