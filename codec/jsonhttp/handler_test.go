package jsonhttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
)

// Shaky is a service whose methods do not always return.
type Shaky struct{ ran *atomic.Int64 }

func (Shaky) Panic(int, *int) error { panic("shaky") }

func (Shaky) Abort(int, *int) error { panic(http.ErrAbortHandler) }

func (Shaky) Exit(int, *int) error {
	runtime.Goexit()
	return nil
}

// Bad is a reply that cannot be encoded.
type Bad struct{}

func (Bad) MarshalJSON() ([]byte, error) { panic("bad") }

func (Shaky) Reply(int, *Bad) error { return nil }

func (s Shaky) Fine(n int, out *int) error {
	s.ran.Add(1)
	*out = n
	return nil
}

// serveShaky serves a Handler on a loopback address and returns its URL.
func serveShaky(t *testing.T, h *jsonhttp.Handler) (url string, ran *atomic.Int64) {
	ran = new(atomic.Int64)
	h.Server = rpc.NewServer()
	require.NoError(t, h.Server.RegisterName("Shaky", Shaky{ran}))
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL, ran
}

// post POSTs JSON and returns the status and the body.
func post(t *testing.T, url, host, body string) (int, string) {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Host = host
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// TestPanicCostsOneCall: a method that panics or ends its goroutine fails its own call only,
// also in a batch.
func TestPanicCostsOneCall(t *testing.T) {
	var log bytes.Buffer
	h := &jsonhttp.Handler{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	url, ran := serveShaky(t, h)
	for _, method := range []string{"Panic", "Abort", "Exit"} {
		call := `{"jsonrpc":"2.0","method":"Shaky.` + method + `","params":[1],"id":1}`
		failure := `{"jsonrpc":"2.0","error":{"code":-32000,"message":"jsonhttp: the method panicked"},"id":1}`
		code, body := post(t, url, "", call)
		require.Equal(t, 200, code)
		require.Equal(t, failure+"\n", body)

		fine := `{"jsonrpc":"2.0","method":"Shaky.Fine","params":[7],"id":2}`
		code, body = post(t, url, "", "["+fine+","+call+","+fine+",5]")
		require.Equal(t, 200, code)
		var replies []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(body), &replies))
		var texts []string
		for _, r := range replies {
			texts = append(texts, string(r))
		}
		sum := `{"jsonrpc":"2.0","result":7,"id":2}`
		require.ElementsMatch(t, []string{sum, failure, sum, `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request: not an object"},"id":null}`}, texts)

		code, _ = post(t, url, "", strings.Replace(call, `,"id":1`, "", 1))
		require.Equal(t, 204, code, "a notification gets no answer")
	}
	require.Equal(t, int64(6), ran.Load())
	require.Equal(t, 9, strings.Count(log.String(), "rpc method did not return"))
	require.Contains(t, log.String(), "method=Shaky.Panic panic=shaky stack=")
	_, body := post(t, url, "", `{"jsonrpc":"2.0","method":"Shaky.Reply","params":[1],"id":1}`)
	require.Contains(t, body, "-32603")
}

// TestForeignHostIsNotServed: a web page whose name resolves to a loopback address (DNS
// rebinding) cannot run a method.
func TestForeignHostIsNotServed(t *testing.T) {
	call := `{"jsonrpc":"2.0","method":"Shaky.Fine","params":[7],"id":2}`
	url, ran := serveShaky(t, new(jsonhttp.Handler))
	for host, allowed := range map[string]bool{
		"": true, "localhost": true, "LOCALHOST:80": true, "localhost.": true, "127.0.0.1:1": true, "127.9.9.9": true, "[::1]:5": true, "[::1]": true,
		"evil.example": false, "evil.example:80": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "evil.localhost.": false,
		"127.1": false, "0x7f000001": false,
	} {
		ran.Store(0)
		code, _ := post(t, url, host, call)
		if allowed {
			require.Equal(t, 200, code, host)
			require.Equal(t, int64(1), ran.Load(), host)
		} else {
			require.Equal(t, 403, code, host)
			require.Equal(t, int64(0), ran.Load(), host)
		}
	}
	url, _ = serveShaky(t, &jsonhttp.Handler{Hosts: []string{"calc.example", "b.example."}})
	for host, want := range map[string]int{"calc.example": 200, "Calc.Example:7001": 200, "b.example": 200, "localhost": 200, "x.calc.example": 403} {
		code, _ := post(t, url, host, call)
		require.Equal(t, want, code, host)
	}
}

// TestAnyHostIsServedElsewhere: on other addresses and sockets any host is served, unless
// Hosts is set.
func TestAnyHostIsServedElsewhere(t *testing.T) {
	call := `{"jsonrpc":"2.0","method":"Shaky.Fine","params":[7],"id":2}`
	for _, test := range []struct {
		hosts []string
		want  int
	}{{nil, 200}, {[]string{"other.example"}, 403}} {
		h := &jsonhttp.Handler{Hosts: test.hosts}
		serveShaky(t, h)
		r := httptest.NewRequest("POST", "/", strings.NewReader(call))
		r.Header.Set("Content-Type", "application/json")
		r.Host = "calc.example"
		for _, local := range []net.Addr{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.UnixAddr{Name: "x"}} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r.Clone(withLocal(r, local)))
			require.Equal(t, test.want, w.Code)
			r.Body = io.NopCloser(strings.NewReader(call))
		}
	}
}

// TestByteOrderMarkInARequest is ignored.
func TestByteOrderMarkInARequest(t *testing.T) {
	url, _ := serveShaky(t, &jsonhttp.Handler{Codec: codec.JSON2{MaxFrame: 1000}})
	_, body := post(t, url, "", "\xEF\xBB\xBF"+`{"jsonrpc":"2.0","method":"Shaky.Fine","params":[7],"id":2}`)
	require.Equal(t, `{"jsonrpc":"2.0","result":7,"id":2}`+"\n", body)
}

func withLocal(r *http.Request, local net.Addr) context.Context {
	return context.WithValue(r.Context(), http.LocalAddrContextKey, local)
}
