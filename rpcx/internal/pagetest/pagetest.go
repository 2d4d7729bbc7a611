// Package pagetest is for tests of the live page: it makes requests to its handler, with
// and without a network, and reads frames. It imports nothing but the standard library.
package pagetest

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Request sends a request without a network. The header is names and values by turns.
func Request(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Post sends a form, names and values by turns, with a token if that is not empty.
func Post(h http.Handler, token string, fields ...string) *httptest.ResponseRecorder {
	form := make(url.Values)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	header := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if token != "" {
		header = append(header, "Authorization", "Bearer "+token)
	}
	return Request(h, http.MethodPost, "/debug/rpcx", form.Encode(), header...)
}

// Figures reads the frame that a handler gives as JSON.
func Figures[Frame any](tb testing.TB, h http.Handler, target string) (f Frame) {
	tb.Helper()
	w := Request(h, http.MethodGet, target, "")
	if kind := w.Header().Get("Content-Type"); w.Code != http.StatusOK || kind != "application/json; charset=utf-8" {
		tb.Fatalf("GET %s: status %d, %s: %s", target, w.Code, kind, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil {
		tb.Fatal(err)
	}
	return f
}

// Reader reads the frames of a stream.
type Reader[Frame any] struct {
	Body io.ReadCloser
	tb   testing.TB
	in   *bufio.Reader
}

// Stream opens a stream of the page at "http://page:1".
func Stream[Frame any](tb testing.TB, c *http.Client) *Reader[Frame] {
	tb.Helper()
	resp, err := c.Get("http://page:1/?format=stream")
	if err != nil {
		tb.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		tb.Fatalf("a stream has status %d and type %s", resp.StatusCode, kind)
	}
	return &Reader[Frame]{resp.Body, tb, bufio.NewReader(resp.Body)}
}

// Next returns the next frame, or false at the end of the stream.
func (r *Reader[Frame]) Next() (f Frame, ok bool) {
	r.tb.Helper()
	line, err := r.in.ReadString('\n')
	if err != nil {
		return f, false
	}
	data, found := strings.CutPrefix(line, "data: ")
	if !found {
		r.tb.Fatalf("a line that is no data: %q", line)
	}
	if err := json.Unmarshal([]byte(data), &f); err != nil {
		r.tb.Fatal(err)
	}
	if line, err = r.in.ReadString('\n'); err != nil || line != "\n" {
		r.tb.Fatalf("behind a frame: %q, %v", line, err)
	}
	return f, true
}

// Must is Next for a frame that has to come.
func (r *Reader[Frame]) Must() Frame {
	r.tb.Helper()
	f, ok := r.Next()
	if !ok {
		r.tb.Fatal("the stream has ended")
	}
	return f
}
