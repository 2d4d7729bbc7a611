package jsonhttp_test

import (
	"compress/gzip"
	"context"
	"encoding/base64"
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

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// script serves calls of the methods "Do.<name>" by the answer with the name. Do.Wait sends
// to arrived and waits for release.
type script struct {
	answers map[string]http.HandlerFunc
	arrived chan struct{}
	release chan struct{}
}

func newScript(answers map[string]http.HandlerFunc) *script {
	return &script{answers: answers, arrived: make(chan struct{}, 100), release: make(chan struct{})}
}

// idOf is the id of a request.
func idOf(body []byte) string {
	_, id, _ := strings.Cut(string(body), `"id":`)
	return strings.TrimSuffix(id, "}")
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	for what, answer := range s.answers {
		if strings.Contains(string(body), `"Do.`+what+`"`) {
			answer(w, r)
			return
		}
	}
	if strings.Contains(string(body), `"Do.Wait"`) {
		s.arrived <- struct{}{}
		select {
		case <-s.release:
		case <-r.Context().Done():
			return
		}
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","result":1,"id":%s}`, idOf(body))
}

func status(code int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if name, value, ok := strings.Cut(header, ": "); ok {
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		io.WriteString(w, body) //nolint:errcheck // a test's server
	}
}

// cut announces more than it sends.
func cut(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1000")
	io.WriteString(w, `{"jsonrpc":"2.0","res`) //nolint:errcheck // a test's server
}

// broken closes the connection in place of an answer.
func broken(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hang does not answer before the client has closed the connection.
func hang(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// bad are answers that fail their own call only.
func bad() map[string]http.HandlerFunc {
	bomb := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 3 { // beyond MaxFrame
			z.Write(make([]byte, 1<<16)) //nolint:errcheck // a test's server
		}
		z.Close() //nolint:errcheck // likewise
	}
	return map[string]http.HandlerFunc{
		"Overloaded": status(503, "", "overloaded"), "Gateway": status(502, "", "<html>"), "Error": status(500, "", ""),
		"Auth": status(401, "", ""), "Redirect": status(302, "Location: /elsewhere", ""), "Loop": status(307, "Location: /", ""),
		"Nowhere": status(308, "Location: ://", ""), "Cut": cut, "Broken": broken, "Hang": hang, "Bomb": bomb,
		"Page": status(200, "Content-Type: text/html; charset=utf-8", "<html>"), "Empty": status(200, "", ""), "None": status(204, "", ""),
		"NoReply": status(200, "", `{"hello":1}`), "NaN": status(200, "", `{"jsonrpc":"2.0","id":1,"result":NaN}`),
		"Deep": status(200, "", `{"jsonrpc":"2.0","id":1,"result":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+`}`),
		"Null": status(200, "", "null"), "Nulls": status(200, "", "[null,null]"), "Twice": status(200, "", `{"result":1}{"result":2}`),
		"CutStatus": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(403)
			io.WriteString(w, "forbid") //nolint:errcheck // a test's server
		},
	}
}

// TestOneExchangeFailsOneCall (net/rpc's Client over a Conn): if an exchange fails, other
// calls get their replies, and the Conn stays usable.
func TestOneExchangeFailsOneCall(t *testing.T) {
	for what := range bad() {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newScript(bad())
			transport := new(http.Transport)
			c, _ := start(t, s, jsonhttp.Config{MaxFrame: 1 << 16, Client: &http.Client{Transport: transport, Timeout: limitOf(what)}})
			defer transport.CloseIdleConnections()
			client := rpc.NewClientWithCodec(c)
			defer client.Close()
			waiting := make(chan *rpc.Call, 8)
			if what != "Hang" { // which has the Timeout of all calls
				for range 8 {
					client.Go("Do.Wait", 1, new(int), waiting)
					<-s.arrived
				}
			}
			failing := make(chan *rpc.Call, 3)
			for range cap(failing) {
				client.Go("Do."+what, 1, new(int), failing)
			}
			for range cap(failing) {
				require.Error(t, (<-failing).Error)
			}
			close(s.release)
			for range cap(waiting) {
				if what != "Hang" {
					require.NoError(t, (<-waiting).Error)
				}
			}
			var one int
			require.NoError(t, client.Call("Do.Fine", 1, &one))
			require.Equal(t, 1, one)
		})
	}
}

func limitOf(what string) time.Duration {
	if what == "Hang" {
		return time.Second
	}
	return 0
}

// fails makes a request with a codec and returns its error.
func fails(t *testing.T, c rpc.ClientCodec, seq uint64, method string) *codec.ExchangeError {
	t.Helper()
	require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: method, Seq: seq}, 1))
	var r rpc.Response
	require.NoError(t, c.ReadResponseHeader(&r))
	require.NoError(t, c.ReadResponseBody(nil))
	require.Equal(t, rpc.Response{ServiceMethod: method, Seq: seq, Error: r.Error}, r)
	err := c.(codec.ErrorReader).ReadError()
	require.EqualError(t, err, r.Error)
	var end *codec.ExchangeError
	require.ErrorAs(t, err, &end)
	require.Equal(t, seq, end.Seq)
	return end
}

// TestCanceledCallFreesItsSlot: to cancel a call ends its HTTP request, frees its slot, and
// reports whether the method may have run.
func TestCanceledCallFreesItsSlot(t *testing.T) {
	left := make(chan struct{}, 1)
	s := newScript(map[string]http.HandlerFunc{"Hang": func(w http.ResponseWriter, r *http.Request) {
		left <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}})
	c, _ := start(t, s, jsonhttp.Config{MaxInFlight: 1})
	cancel := c.(codec.Canceler).Cancel
	write := func(seq uint64, method string) {
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: method, Seq: seq}, 1))
	}
	write(1, "Do.Hang")
	<-left
	write(2, "Do.Hang")
	write(3, "Do.Fine")
	write(4, codec.PingMethod)
	var r rpc.Response
	next := func(want uint64) error {
		require.NoError(t, c.ReadResponseHeader(&r))
		require.Equal(t, want, r.Seq)
		require.NoError(t, c.ReadResponseBody(nil))
		return c.(codec.ErrorReader).ReadError()
	}
	require.NoError(t, next(4), "a ping needs no place")

	require.True(t, cancel(2), "it waits for a place")
	require.True(t, cancel(2))
	require.ErrorIs(t, next(2), context.Canceled)
	require.True(t, cancel(5), "it was not written yet")
	require.False(t, cancel(1), "the server has it")
	require.ErrorIs(t, next(1), context.Canceled)
	<-left
	require.NoError(t, next(3), "it has the place now")
	require.False(t, cancel(3), "it has its answer")
	write(5, "Do.Hang")
	require.ErrorIs(t, next(5), context.Canceled)
	require.Empty(t, left, "a call that was given up before does not leave")
}

// TestCloseSaysWhatWasNotSent: after Close, Cancel reports which requests were not sent,
// including those that waited for a slot.
func TestCloseSaysWhatWasNotSent(t *testing.T) {
	s := newScript(nil)
	c, _ := start(t, s, jsonhttp.Config{MaxInFlight: 1})
	for seq := range uint64(2) {
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "Do.Wait", Seq: seq}, 1))
		if seq == 0 {
			<-s.arrived
		}
	}
	require.NoError(t, c.Close())
	require.False(t, c.(codec.Canceler).Cancel(0))
	require.True(t, c.(codec.Canceler).Cancel(1))
	require.True(t, c.(codec.Canceler).Cancel(2))
}

// TestConnectionsAreReused: there are no more connections than calls in flight.
func TestConnectionsAreReused(t *testing.T) {
	var opened, open atomic.Int64
	s := httptest.NewUnstartedServer(newScript(nil))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.Start()
	defer s.Close()
	c, err := jsonhttp.NewClient(s.URL)
	require.NoError(t, err)
	client := rpc.NewClientWithCodec(c)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 20 {
				if err := client.Call("A.B", 1, new(int)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Less(t, opened.Load(), int64(200), "of 640 calls") // net/http dials ahead

	require.NoError(t, client.Close())
	require.Eventually(t, func() bool { return open.Load() == 0 }, patience, time.Millisecond, "Close closes what is idle")
}

// TestHostHeader: the Host of Config.Header is sent, and the other headers, too.
func TestHostHeader(t *testing.T) {
	for _, name := range []string{"Host", "host"} {
		hosts := make(chan []string, 1)
		c, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hosts <- []string{r.Host, r.Header.Get("X-Key")}
		}), jsonhttp.Config{Header: http.Header{name: {"calc.example"}, "X-Key": {"k"}}})
		fails(t, c, 1, "A.B")
		require.Equal(t, []string{"calc.example", "k"}, <-hosts)
	}
}

// TestNoSecretIsShown: addresses and errors have no secrets of the URL.
func TestNoSecretIsShown(t *testing.T) {
	auth := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth <- r.Header.Get("Authorization") + r.URL.RawQuery
	}))
	defer s.Close()
	for _, host := range []string{s.URL[len("http://"):], refusedURL(t)[len("http://"):]} {
		conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: "http://me:hush@" + host + "/rpc?key=hush#hush"})
		require.NoError(t, err)
		defer conn.Close()
		require.Equal(t, "http://"+host+"/rpc", conn.RemoteAddr().String())
		end := fails(t, codec.NewJSON2Client(conn), 1, "A.B")
		require.NotContains(t, fmt.Sprintf("%v %+v", end, end.Err), "hush")
	}
	require.Equal(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("me:hush"))+"key=hush", <-auth, "and they are used")
	for _, url := range []string{"ftp://me:hush@x/", "http://me:hush@x:port/", "http://me:hush@/", "http://me:hush%@x", "me:hush"} {
		_, err := jsonhttp.NewConn(jsonhttp.Config{URL: url})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hush")
	}
}

// TestNotificationsFailAlone: the response to a notification does not end a call.
func TestNotificationsFailAlone(t *testing.T) {
	told := make(chan struct{}, 10)
	for _, answer := range []http.HandlerFunc{
		status(503, "", ""), status(200, "", `{"error":{"code":1,"message":"x"},"id":null}`), status(200, "", `{"result":1}`), broken, cut,
	} {
		s := newScript(map[string]http.HandlerFunc{"Tell": func(w http.ResponseWriter, r *http.Request) { told <- struct{}{}; answer(w, r) }})
		c, _ := start(t, s, jsonhttp.Config{MaxInFlight: 1})
		client := rpc.NewClientWithCodec(c)
		require.NoError(t, c.(codec.Notifier).Notify("Do.Tell", 1))
		<-told
		var one int
		require.NoError(t, client.Call("Do.Fine", 1, &one))
		require.Equal(t, 1, one)
		require.NoError(t, client.Close())
	}
}

// TestHTTP2: exchanges share a connection, and a canceled one leaves it open.
func TestHTTP2(t *testing.T) {
	var opened atomic.Int64
	s := newScript(bad())
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: server.URL, Client: server.Client()})
	require.NoError(t, err)
	defer conn.Close()
	c := codec.NewJSON2Client(conn)
	require.Equal(t, 503, statusOf(t, fails(t, c, 1, "Do.Overloaded")))
	require.False(t, fails(t, c, 2, "Do.Broken").NotRun)
	require.False(t, fails(t, c, 3, "Do.Cut").NotRun)
	require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "Do.Wait", Seq: 4}, 1))
	<-s.arrived
	require.False(t, c.(codec.Canceler).Cancel(4))
	var r rpc.Response
	require.NoError(t, c.ReadResponseHeader(&r))
	require.ErrorIs(t, c.(codec.ErrorReader).ReadError(), context.Canceled)
	require.NoError(t, c.ReadResponseBody(nil))
	client := rpc.NewClientWithCodec(c)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := client.Call("Do.Fine", 1, new(int)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), opened.Load())
}
