package jsonhttp_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
)

type Args struct{ A, B int }

type Arith struct{ told *atomic.Int64 }

func (Arith) Add(args Args, sum *int) error { *sum = args.A + args.B; return nil }

func (Arith) Div(args Args, quotient *int) error {
	if args.B == 0 {
		return errors.New("divide by zero")
	}
	*quotient = args.A / args.B
	return nil
}

func (Arith) Long(n int, s *string) error { *s = strings.Repeat("x", n); return nil }

func (a Arith) Tell(n int, _ *struct{}) error { a.told.Add(int64(n)); return nil }

func newServer(t *testing.T) (*rpc.Server, *atomic.Int64) {
	s, told := rpc.NewServer(), new(atomic.Int64)
	require.NoError(t, s.RegisterName("Arith", Arith{told}))
	return s, told
}

// start serves h and returns a codec over it.
func start(t *testing.T, h http.Handler, cfg jsonhttp.Config) (rpc.ClientCodec, string) {
	s := httptest.NewServer(h)
	transport := new(http.Transport)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.Close()
	})
	cfg.URL = s.URL
	if cfg.Client == nil {
		cfg.Client = &http.Client{Transport: transport}
	}
	conn, err := jsonhttp.NewConn(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return codec.NewJSON2Client(conn), s.URL
}

func TestCalls(t *testing.T) {
	server, told := newServer(t)
	c, _ := start(t, jsonhttp.NewHandler(server), jsonhttp.Config{MaxInFlight: 4})
	client := rpc.NewClientWithCodec(c)
	defer client.Close()
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			var sum int
			if err := client.Call("Arith.Add", Args{i, 1}, &sum); err != nil || sum != i+1 {
				t.Errorf("%d + 1 = %d, %v", i, sum, err)
			}
		})
	}
	wg.Wait()
	require.EqualError(t, client.Call("Arith.Div", Args{1, 0}, new(int)), "divide by zero")
	require.Error(t, client.Call("Arith.Nope", Args{}, new(int)))
	require.NoError(t, c.(codec.Notifier).Notify("Arith.Tell", 5))
	require.Eventually(t, func() bool { return told.Load() == 5 }, 5*time.Second, time.Millisecond)
}

func TestHandler(t *testing.T) {
	server, _ := newServer(t)
	h := &jsonhttp.Handler{Server: server, Codec: codec.JSON2{MaxFrame: 1000}}
	add := `{"jsonrpc":"2.0","method":"Arith.Add","params":[1,2],"id":1}`
	sum := `{"jsonrpc":"2.0","result":3,"id":1}` + "\n"
	parse := `{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}` + "\n"
	for name, test := range map[string]struct {
		method, contentType, body string
		status                    int
		want                      string
	}{
		"call":              {"POST", "application/json", add, 200, sum},
		"charset":           {"POST", "application/json-rpc; charset=utf-8", add, 200, sum},
		"batch":             {"POST", "application/json", "[" + add + "]", 200, "[" + strings.TrimSpace(sum) + "]\n"},
		"notification":      {"POST", "application/json", `{"jsonrpc":"2.0","method":"Arith.Tell","params":[1]}`, 204, ""},
		"notifications":     {"POST", "application/json", `[{"jsonrpc":"2.0","method":"Arith.Tell","params":[1]}]`, 204, ""},
		"truncated":         {"POST", "application/json", add[:20], 200, parse},
		"empty":             {"POST", "application/json", "", 200, parse},
		"two":               {"POST", "application/json", add + add, 200, parse},
		"GET":               {"GET", "application/json", "", 405, "JSON-RPC takes POST\n"},
		"form":              {"POST", "application/x-www-form-urlencoded", add, 415, "JSON-RPC takes application/json\n"},
		"no content type":   {"POST", "", add, 415, "JSON-RPC takes application/json\n"},
		"request too large": {"POST", "application/json", strings.Repeat(" ", 1001), 413, "request too large\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "/", strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.contentType)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.want, w.Body.String())
		})
	}
	require.HTTPBodyContains(t, h.ServeHTTP, "GET", "/", nil, "POST")
}

// respond answers every request with the same.
func respond(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body) //nolint:errcheck // a test's server
	})
}

// TestResponses: a response without a reply fails its call only.
func TestResponses(t *testing.T) {
	const object = `{"code":7,"message":"no"}`
	for name, test := range map[string]struct {
		status int
		body   string
		want   error // nil: none
	}{
		"reply":             {200, `{"jsonrpc":"2.0","id":0,"result":5}`, nil},
		"another's id":      {200, `{"jsonrpc":"2.0","id":9,"result":5}`, nil},
		"error, status 200": {200, `{"id":0,"error":` + object + `}`, &codec.Error{Code: 7, Message: "no"}},
		"error, status 500": {500, `{"id":0,"error":` + object + `}`, &codec.Error{Code: 7, Message: "no"}},
		"error, null id":    {400, `{"id":null,"error":` + object + `}`, &codec.Error{Code: 7, Message: "no"}},
		"error, no id":      {400, `{"error":` + object + `}`, &codec.Error{Code: 7, Message: "no"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := start(t, respond(test.status, test.body), jsonhttp.Config{MaxFrame: 1000})
			for range 2 {
				require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1))
				var r rpc.Response
				require.NoError(t, c.ReadResponseHeader(&r))
				require.Equal(t, test.want, c.(codec.ErrorReader).ReadError())
				if test.want == nil {
					var n int
					require.NoError(t, c.ReadResponseBody(&n))
					require.Equal(t, 5, n)
				}
			}
		})
	}
}

// TestClose: Close ends the requests in flight and those that wait for a slot.
func TestClose(t *testing.T) {
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	c, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
	}), jsonhttp.Config{MaxInFlight: 1})
	defer close(release)
	require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: 1}, 1))
	<-arrived
	require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: 2}, 1))
	reads := make(chan error, 1)
	go func() { reads <- c.ReadResponseHeader(new(rpc.Response)) }()
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-reads, net.ErrClosed)
	require.ErrorIs(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: 3}, 1), net.ErrClosed)
	require.Len(t, arrived, 0, "the second request never left")
	require.ErrorIs(t, c.Close(), net.ErrClosed)
}

// TestLines: several requests in one Write, or one in several, are separated by lines.
func TestLines(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) //nolint:errcheck // a test's server
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(body))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: s.URL, Client: client, Header: http.Header{"Authorization": {"x"}}})
	require.NoError(t, err)
	defer conn.Close()
	for _, piece := range []string{"{\"a\":1}\n{\"b\"", ":2}", "\n\n{\"c\":3}\n{"} {
		n, err := conn.Write([]byte(piece))
		require.NoError(t, err)
		require.Equal(t, len(piece), n)
	}
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(bodies) == 3 }, 5*time.Second, time.Millisecond)
	require.ElementsMatch(t, []string{`{"a":1}`, `{"b":2}`, `{"c":3}`}, bodies)
}

func TestConfig(t *testing.T) {
	for _, cfg := range []jsonhttp.Config{{}, {URL: "://"}, {URL: "ftp://x"}, {URL: "http://x", MaxInFlight: -1}, {URL: "http://x", MaxFrame: -1}} {
		_, err := jsonhttp.NewConn(cfg)
		require.ErrorContains(t, err, "jsonhttp: Config.", "%+v", cfg)
	}
}

func Example() {
	server := rpc.NewServer()
	if err := server.RegisterName("Arith", Arith{}); err != nil {
		fmt.Println(err)
	}
	s := httptest.NewServer(jsonhttp.NewHandler(server))
	defer s.Close()

	c, err := jsonhttp.NewClient(s.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := rpc.NewClientWithCodec(c)
	defer client.Close()
	var sum int
	err = client.Call("Arith.Add", Args{A: 7, B: 8}, &sum)
	fmt.Println(sum, err)
	// Output: 15 <nil>
}
