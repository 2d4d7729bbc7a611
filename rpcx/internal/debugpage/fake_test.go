package debugpage

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/pagetest"
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

func (f *fake) Events(rev uint64) []Event { return f.Since(rev) }

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

// must reads the next frame, for a client that is expected to be there, the only one.
func must(t *testing.T, r *pagetest.Reader[frame]) (whole bool, c clientFrame) {
	t.Helper()
	f := r.Must()
	require.Len(t, f.Clients, 1)
	return f.Whole, f.Clients[0]
}
