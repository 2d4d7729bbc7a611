package jsonhttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
)

// TestStatus: the ExchangeError for each status.
func TestStatus(t *testing.T) {
	long := strings.Repeat("x", 5000)
	gone := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	dated := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", gone.Format(http.TimeFormat))
		w.Header().Set("Retry-After", gone.Add(90*time.Second).Format(http.TimeFormat))
		w.WriteHeader(503)
	}
	proxied := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Via", "1.1 varnish")
		status(503, "Retry-After: 5", "Backend fetch failed")(w, r)
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   codec.ExchangeError
		status jsonhttp.StatusError
		text   string
	}{
		"301": {
			status(301, "Location: /b", ""),
			codec.ExchangeError{NotRun: true, Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 301, Location: "/b"},
			`jsonhttp: the server answered 301 Moved Permanently, location "/b"`,
		},
		"302 elsewhere": {
			status(302, "Location: http://127.0.0.1:1/", ""),
			codec.ExchangeError{NotRun: true, Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 302, Location: "http://127.0.0.1:1/"},
			`jsonhttp: the server answered 302 Found, location "http://127.0.0.1:1/"`,
		},
		"307 elsewhere": {
			status(307, "Location: http://127.0.0.1:1/", ""),
			codec.ExchangeError{NotRun: true, Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 307, Location: "http://127.0.0.1:1/"},
			`jsonhttp: the server answered 307 Temporary Redirect, location "http://127.0.0.1:1/"`,
		},
		"308 for ever": {
			status(308, "Location: /", ""),
			codec.ExchangeError{NotRun: true, Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 308, Location: "/"},
			`jsonhttp: the server answered 308 Permanent Redirect, location "/"`,
		},
		"401": {
			status(401, "", "who\n\tare you?"),
			codec.ExchangeError{NotRun: true, Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 401, Body: "who\n\tare you?"},
			"jsonhttp: the server answered 401 Unauthorized: who are you?",
		},
		"403": {
			status(403, "", long),
			codec.ExchangeError{NotRun: true, Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 403, Body: long[:1024]},
			"jsonhttp: the server answered 403 Forbidden: " + long[:200] + "…",
		},
		"404": {
			status(404, "", "not found"),
			codec.ExchangeError{NotRun: true, Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 404, Body: "not found"},
			"jsonhttp: the server answered 404 Not Found at URL (check Config.URL): not found",
		},
		"413": {
			status(413, "", ""),
			codec.ExchangeError{NotRun: true, Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 413},
			"jsonhttp: the server answered 413 Request Entity Too Large",
		},
		"400": {
			status(400, "", ""),
			codec.ExchangeError{Answer: codec.Rejected},
			jsonhttp.StatusError{Code: 400},
			"jsonhttp: the server answered 400 Bad Request",
		},
		"429": {
			status(429, "Retry-After: 7", ""),
			codec.ExchangeError{NotRun: true, Answer: codec.Busy, RetryAfter: 7 * time.Second},
			jsonhttp.StatusError{Code: 429, RetryAfter: 7 * time.Second},
			"jsonhttp: the server answered 429 Too Many Requests, retry after 7s",
		},
		"429 with an error": {
			status(429, "", `{"id":0,"error":{"code":-32005,"message":"slow down"}}`),
			codec.ExchangeError{NotRun: true, Answer: codec.Busy},
			jsonhttp.StatusError{Code: 429, Body: `{"id":0,"error":{"code":-32005,"message":"slow down"}}`},
			"jsonhttp: the server answered 429 Too Many Requests: slow down",
		},
		"503": {
			status(503, "", ""),
			codec.ExchangeError{Answer: codec.Failed},
			jsonhttp.StatusError{Code: 503},
			"jsonhttp: the server answered 503 Service Unavailable",
		},
		"503 for a while": {
			status(503, "Retry-After: 0", ""),
			codec.ExchangeError{NotRun: true, Answer: codec.Failed},
			jsonhttp.StatusError{Code: 503},
			"jsonhttp: the server answered 503 Service Unavailable",
		},
		"503 for long": {
			status(503, "Retry-After: 99999999999999999999", ""),
			codec.ExchangeError{NotRun: true, Answer: codec.Failed, RetryAfter: 1<<31*time.Second - time.Second},
			jsonhttp.StatusError{Code: 503, RetryAfter: 1<<31*time.Second - time.Second},
			"jsonhttp: the server answered 503 Service Unavailable, retry after 596523h14m7s",
		},
		"503 soon": {
			status(503, "Retry-After: soon", ""),
			codec.ExchangeError{Answer: codec.Failed},
			jsonhttp.StatusError{Code: 503},
			"jsonhttp: the server answered 503 Service Unavailable",
		},
		"503 until": {
			dated,
			codec.ExchangeError{NotRun: true, Answer: codec.Failed, RetryAfter: 90 * time.Second},
			jsonhttp.StatusError{Code: 503, RetryAfter: 90 * time.Second},
			"jsonhttp: the server answered 503 Service Unavailable, retry after 1m30s",
		},
		"503 of a proxy": {
			proxied,
			codec.ExchangeError{Answer: codec.Failed, RetryAfter: 5 * time.Second},
			jsonhttp.StatusError{Code: 503, RetryAfter: 5 * time.Second, Body: "Backend fetch failed"},
			"jsonhttp: the server answered 503 Service Unavailable, retry after 5s: Backend fetch failed",
		},
		"502": {
			status(502, "", ""),
			codec.ExchangeError{Answer: codec.Failed},
			jsonhttp.StatusError{Code: 502},
			"jsonhttp: the server answered 502 Bad Gateway",
		},
		"204": {
			status(204, "", ""),
			codec.ExchangeError{Answer: codec.Failed},
			jsonhttp.StatusError{Code: 204},
			"jsonhttp: the server's answer is no JSON-RPC reply (204 No Content) at URL (check Config.URL)",
		},
		"a page": {
			status(200, "Content-Type: text/html; charset=utf-8", "<html>\x1b\xff"),
			codec.ExchangeError{Answer: codec.Failed},
			jsonhttp.StatusError{Code: 200, Body: "<html>\x1b\xff"},
			"jsonhttp: the server's answer is no JSON-RPC reply (200 OK) at URL (check Config.URL): <html>\uFFFD",
		},
		"JSON but no reply": {
			status(200, "", `{"hello":1}`),
			codec.ExchangeError{Answer: codec.Failed},
			jsonhttp.StatusError{Code: 200, Body: `{"hello":1}`},
			`jsonhttp: the server's answer is no JSON-RPC reply (200 OK) at URL (check Config.URL): {"hello":1}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, url := start(t, test.answer, jsonhttp.Config{})
			end := fails(t, c, 0, "A.B")
			var got *jsonhttp.StatusError
			require.ErrorAs(t, end, &got)
			require.EqualError(t, end, strings.Replace(test.text, "URL", url, 1))
			require.Equal(t, url, strings.TrimSuffix(got.URL, "/"))
			test.want.Err = end.Err
			require.Equal(t, test.want, *end)
			require.Equal(t, []any{test.status.Code, test.status.Body, test.status.RetryAfter, test.status.Location}, []any{got.Code, got.Body, got.RetryAfter, got.Location})
			var object *codec.Error
			require.Equal(t, name == "429 with an error", errors.As(end, &object))
		})
	}
}

// TestRedirectWithinItsHost: a redirect to the same host is followed if it keeps the method.
func TestRedirectWithinItsHost(t *testing.T) {
	c, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
			return
		}
		newScript(nil).ServeHTTP(w, r)
	}), jsonhttp.Config{})
	require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1))
	var r rpc.Response
	require.NoError(t, c.ReadResponseHeader(&r))
	require.Empty(t, r.Error)
}

// refusedURL returns the URL of a port without a listener.
func refusedURL(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return "http://" + l.Addr().String()
}

// TestWhatWasNotSentSaysSo: without a connection, the request certainly was not sent. If the
// connection is lost after the transport has read the request, it is not certain.
func TestWhatWasNotSentSaysSo(t *testing.T) {
	plain := httptest.NewServer(newScript(bad()))
	defer plain.Close()
	secure := httptest.NewTLSServer(newScript(nil))
	secure.Config.ErrorLog = nil
	defer secure.Close()
	proxy := httptest.NewServer(status(502, "", "")) // refuses CONNECT
	defer proxy.Close()
	through := func(to string) *http.Client {
		return &http.Client{Transport: &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) { return r.URL.Parse(to) }}}
	}
	for name, test := range map[string]struct {
		cfg    jsonhttp.Config
		method string
		notRun bool
	}{
		"refused":            {jsonhttp.Config{URL: refusedURL(t)}, "A.B", true},
		"handshake":          {jsonhttp.Config{URL: secure.URL}, "A.B", true}, // its certificate is not known
		"no TLS":             {jsonhttp.Config{URL: "https" + plain.URL[len("http"):]}, "A.B", true},
		"proxy away":         {jsonhttp.Config{URL: plain.URL, Client: through(refusedURL(t))}, "A.B", true},
		"proxy says no":      {jsonhttp.Config{URL: secure.URL, Client: through(proxy.URL)}, "A.B", true},
		"proxy, plain, no":   {jsonhttp.Config{URL: plain.URL, Client: through(proxy.URL)}, "A.B", false},
		"lost":               {jsonhttp.Config{URL: plain.URL}, "Do.Broken", false},
		"cut short":          {jsonhttp.Config{URL: plain.URL}, "Do.Cut", false},
		"time-out":           {jsonhttp.Config{URL: plain.URL, Client: &http.Client{Timeout: 100 * time.Millisecond}}, "Do.Hang", false},
		"time-out of a dial": {jsonhttp.Config{URL: plain.URL, Client: &http.Client{Timeout: 100 * time.Millisecond, Transport: &http.Transport{DialContext: dialNowhere}}}, "A.B", true},
		"foreign, untouched": {jsonhttp.Config{URL: plain.URL, Client: &http.Client{Transport: roundTrip(func(*http.Request) error { return io.EOF })}}, "A.B", true},
		"foreign, read": {jsonhttp.Config{URL: plain.URL, Client: &http.Client{Transport: roundTrip(func(r *http.Request) error {
			_, err := io.ReadAll(r.Body)
			return errors.Join(err, &net.OpError{Op: "dial", Err: io.EOF}) // of a second try, say
		})}}, "A.B", false},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := jsonhttp.NewConn(test.cfg)
			require.NoError(t, err)
			defer conn.Close()
			end := fails(t, codec.NewJSON2Client(conn), 3, test.method)
			require.Equal(t, test.notRun, end.NotRun, "%v", end)
			var timeout interface{ Timeout() bool }
			require.Equal(t, strings.HasPrefix(name, "time-out"), errors.As(end, &timeout) && timeout.Timeout(), "%v", end)
		})
	}
}

func dialNowhere(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

type roundTrip func(*http.Request) error

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return nil, f(r) }

// TestLateRefusal: if the transport has not read the end of a request, the method has not
// run, whatever the status.
func TestLateRefusal(t *testing.T) {
	c, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
	}), jsonhttp.Config{Client: &http.Client{Transport: early{}}})
	require.True(t, fails(t, c, 0, "A.B").NotRun)
}

// early answers before it has read the request.
type early struct{}

func (early) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 503, Status: "503 Service Unavailable", Header: http.Header{}, Body: http.NoBody}, nil
}

// TestStaleConnection: if the kept connection is closed, and a new one cannot be made, the
// request was not sent. net/http's transport knows this.
func TestStaleConnection(t *testing.T) {
	var dials atomic.Int64
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("refused")}
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		return &brittle{Conn: c}, err
	}}
	c, _ := start(t, newScript(nil), jsonhttp.Config{Client: &http.Client{Transport: transport}})
	require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: 1}, 1))
	require.NoError(t, c.ReadResponseHeader(new(rpc.Response)))
	require.NoError(t, c.ReadResponseBody(nil))
	require.True(t, fails(t, c, 2, "A.B").NotRun)
}

// TestRedirectToNoListener: a redirected request has not run. If the new address cannot be
// connected to, the request was not sent.
func TestRedirectToNoListener(t *testing.T) {
	for key, notRun := range map[string]bool{"X-Key": true, "Idempotency-Key": false} { // with which net/http sends it again unasked
		var dials atomic.Int64 // net/http may dial once more in the background
		transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("refused")}
			}
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		}}
		redirect := status(307, "Location: /there", "")
		c, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) //nolint:errcheck // the end of the request was sent, or it is certain that it was not
			redirect.ServeHTTP(w, r)
		}), jsonhttp.Config{Header: http.Header{key: {"1"}}, Client: &http.Client{Transport: transport}})
		require.Equal(t, notRun, fails(t, c, 1, "A.B").NotRun)
	}
}

// brittle is a connection that fails after one request.
type brittle struct {
	net.Conn
	used atomic.Bool
}

func (b *brittle) Write(p []byte) (int, error) {
	if b.used.Load() {
		return 0, errors.New("broken pipe")
	}
	return b.Conn.Write(p)
}

func (b *brittle) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	b.used.Store(n > 0)
	return n, err
}

func statusOf(t *testing.T, err error) int {
	var status *jsonhttp.StatusError
	require.ErrorAs(t, err, &status)
	return status.Code
}
