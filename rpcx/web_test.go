package rpcx_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
)

// A web is an HTTP server of JSON-RPC whose methods are "Do.<what>": those in answers,
// and any other one, which it answers with 1. Do.Wait does that once release is closed.
type web struct {
	*httptest.Server
	answers map[string]http.HandlerFunc
	all     http.HandlerFunc // answers everything, pings too, if not nil
	ran     atomic.Int64     // what came to an answer of 1
	arrived chan struct{}    // of Do.Wait
	release chan struct{}
	left    chan struct{} // the client of a Do.Wait has gone
	frozen  *atomic.Bool  // it answers nothing any more; nil for never
}

func newWeb(t *testing.T, answers map[string]http.HandlerFunc, all http.HandlerFunc) *web {
	w := &web{answers: answers, all: all, arrived: make(chan struct{}, 1000), release: make(chan struct{}), left: make(chan struct{}, 1000)}
	w.Server = httptest.NewServer(w)
	t.Cleanup(func() {
		w.CloseClientConnections()
		w.Close()
	})
	return w
}

func (s *web) addr() string { return s.Listener.Addr().String() }

func (s *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	text := string(body)
	if s.frozen != nil && s.frozen.Load() {
		<-r.Context().Done()
		return
	}
	if s.all != nil {
		s.all(w, r)
		return
	}
	for what, answer := range s.answers {
		if strings.Contains(text, `"Do.`+what+`"`) {
			answer(w, r)
			return
		}
	}
	if strings.Contains(text, `"Do.Wait"`) {
		s.arrived <- struct{}{}
		select {
		case <-s.release:
		case <-r.Context().Done():
			s.left <- struct{}{}
			return
		}
	}
	if strings.Contains(text, `"Do.`) {
		s.ran.Add(1)
	}
	_, id, _ := strings.Cut(text, `"id":`)
	fmt.Fprintf(w, `{"jsonrpc":"2.0","result":1,"id":%s`, id)
}

func httpStatus(code int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if name, value, ok := strings.Cut(header, ": "); ok {
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		io.WriteString(w, body) //nolint:errcheck // a test's server
	}
}

// overHTTP returns a Dialer for jsonhttp, and how many Conns it has made for calls.
func overHTTP(cfg jsonhttp.Config) (rpcx.Dialer, *atomic.Int64) {
	conns := new(atomic.Int64)
	cfg.URL = "http:///"
	return rpcx.Dialer{
		Codec:   codec.NewJSON2Client,
		NetDial: jsonhttp.Dialer(cfg),
		Trace:   &rpcx.ClientTrace{ConnStart: func(rpcx.ConnInfo) { conns.Add(1) }},
	}, conns
}

func dialWeb(t *testing.T, d rpcx.Dialer, addrs ...string) *rpcx.Client {
	c, err := d.Dial("tcp", addrs...)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}
