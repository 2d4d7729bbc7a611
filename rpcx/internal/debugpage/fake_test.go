package debugpage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/simnet"
)

// fake is a client with two figures, which carries out every order.
type fake struct {
	Journal

	mu     sync.Mutex // protects following
	calls  int
	closed bool
	states map[string]string // of endpoints
	orders []Order
	refuse error // of Control
}

func newFake(addrs ...string) *fake {
	f := &fake{states: make(map[string]string)}
	for _, a := range addrs {
		f.states[a] = "closed"
	}
	return f
}

// change changes the client under its lock.
func (f *fake) change(what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what()
}

func (f *fake) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := State{Closed: f.closed, PhiThreshold: 8}
	for addr, state := range f.states {
		s.Endpoints = append(s.Endpoints, Endpoint{addr, map[string]string{"Address": addr, "State": state}})
	}
	calls := f.calls
	s.Figures = func(endpoints []json.RawMessage) any {
		return map[string]any{"Calls": calls, "Endpoints": endpoints}
	}
	return s
}

func (f *fake) Events(seq uint64) []Event { return f.Since(seq) }

func (f *fake) Control(o Order) (effect string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.states[o.Endpoint]; !ok {
		return "", ErrNoEndpoint
	}
	if f.refuse != nil {
		return "", f.refuse
	}
	f.orders = append(f.orders, o)
	return "has had its order", nil
}

// endpoints returns the states in a frame, by address.
func (c clientFrame) endpoints() map[string]string {
	states := make(map[string]string)
	for _, e := range c.Stats.(map[string]any)["Endpoints"].([]any) {
		e := e.(map[string]any)
		states[e["Address"].(string)] = e["State"].(string)
	}
	return states
}

// request sends a request without a network.
func request(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// post sends a form with a token, if that is not empty.
func post(h http.Handler, token string, fields ...string) *httptest.ResponseRecorder {
	form := make(url.Values)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	header := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if token != "" {
		header = append(header, "Authorization", "Bearer "+token)
	}
	return request(h, http.MethodPost, "/debug/rpcx", form.Encode(), header...)
}

// figures returns the frame that a handler gives as JSON.
func figures(t *testing.T, h http.Handler, target string) (f frame) {
	t.Helper()
	w := request(h, http.MethodGet, target, "")
	require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &f))
	return f
}

// log is a buffer that is safe for concurrent use.
type log struct {
	mu  sync.Mutex // protects following
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// with returns the lines that contain s.
func (l *log) with(s string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, s) {
			out = append(out, line)
		}
	}
	return out
}

// serve serves h in a network of the test's bubble until the test is over, and returns an
// HTTP client for it. Its address is "http://page:1".
func serve(t *testing.T, srv *http.Server, h http.Handler) *http.Client {
	n := simnet.New()
	t.Cleanup(n.Close)
	srv.Handler = h
	go srv.Serve(n.Listen("page:1")) //nolint:errcheck // it ends with the server
	t.Cleanup(func() { srv.Close() })
	page := &http.Client{Transport: &http.Transport{DialContext: n.DialContext}}
	t.Cleanup(page.CloseIdleConnections)
	return page
}

// reader reads the frames of a stream.
type reader struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
}

func stream(t *testing.T, c *http.Client) *reader {
	t.Helper()
	resp, err := c.Get("http://page:1/?format=stream")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	return &reader{t, resp.Body, bufio.NewReader(resp.Body)}
}

// next returns the next frame, or false at the end of the stream.
func (r *reader) next() (f frame, ok bool) {
	r.t.Helper()
	line, err := r.in.ReadString('\n')
	if err != nil {
		return f, false
	}
	data, found := strings.CutPrefix(line, "data: ")
	require.True(r.t, found, "%q", line)
	require.NoError(r.t, json.Unmarshal([]byte(data), &f))
	line, err = r.in.ReadString('\n')
	require.NoError(r.t, err)
	require.Equal(r.t, "\n", line)
	return f, true
}

// must is next for a client that is expected to be there, the only one.
func (r *reader) must() (whole bool, c clientFrame) {
	r.t.Helper()
	f, ok := r.next()
	require.True(r.t, ok, "the stream has ended")
	require.Len(r.t, f.Clients, 1)
	return f.Whole, f.Clients[0]
}
