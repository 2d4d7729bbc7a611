package jsonhttp

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"resilientrpc/codec"
)

// maxPiece is the number of bytes of a body that a StatusError keeps, and shownPiece the
// number of bytes that its text shows.
const (
	maxPiece   = 1 << 10
	shownPiece = 200
)

// A StatusError is an HTTP response without a JSON-RPC reply, or with the status 429 or
// 503 and no result. Whether the method may have run, and so a retry may run it twice,
// depends on the status:
//
//	3xx, 401, 403, 404, 405, 407, 413, 414,     it has not run
//	415, 417, 421, 426, 428, 429, 431
//	503 with Retry-After and without Via        it has not run
//	any other, and any other 503                it may have run
//
// Proxies (Envoy, Varnish, Heroku's router) also send 503 if they lose the connection to a
// server that has received the request, or do not wait longer for it.
type StatusError struct {
	Code       int           // the status code
	Status     string        // the status line, as in http.Response
	Body       string        // the first KiB of the body
	RetryAfter time.Duration // from the Retry-After header; 0 if absent or 0
	Location   string        // the Location header; empty if absent
	URL        string        // the URL that has answered, without user, password and query

	hasRetryAfter bool  // Retry-After is present
	failure       error // the error object in the body
}

// newStatusError is the error of a response to a POST to target.
func newStatusError(target *url.URL, r *http.Response, body []byte, failure error) *StatusError {
	if r.Request != nil { // it may have been redirected
		target = r.Request.URL
	}
	e := &StatusError{
		Code: r.StatusCode, Status: r.Status, Body: string(body[:min(len(body), maxPiece)]),
		Location: r.Header.Get("Location"), URL: publicURL(target), failure: failure,
	}
	e.RetryAfter, e.hasRetryAfter = retryAfter(r.Header)
	return e
}

// Error returns the status, the URL if that may be wrong, Location, RetryAfter, and the
// JSON-RPC error or the beginning of the body.
func (e *StatusError) Error() string {
	text := "jsonhttp: the server answered " + e.Status
	if e.Code < 300 {
		text = "jsonhttp: the server's answer is no JSON-RPC reply (" + e.Status + ")"
	}
	if e.Code < 300 || e.Code == http.StatusNotFound || e.Code == http.StatusMethodNotAllowed || e.Code == http.StatusGone {
		text += " at " + e.URL + " (check Config.URL)"
	}
	if e.Location != "" {
		text += ", location " + strconv.Quote(e.Location)
	}
	if e.RetryAfter > 0 {
		text += ", retry after " + e.RetryAfter.String()
	}
	if e.failure != nil {
		return text + ": " + e.failure.Error()
	}
	if shown := printable(e.Body); shown != "" {
		return text + ": " + shown
	}
	return text
}

// Unwrap returns the *codec.Error in the body, or nil.
func (e *StatusError) Unwrap() error { return e.failure }

// answer classifies the status.
func (e *StatusError) answer() codec.Answer {
	switch {
	case e.Code == http.StatusTooManyRequests:
		return codec.Busy
	case e.Code < 300, e.Code >= 500, e.Code == http.StatusRequestTimeout:
		return codec.Failed
	}
	return codec.Rejected
}

// notRun reports whether the status says that the method has not run.
func (e *StatusError) notRun(header http.Header) bool {
	switch e.Code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnsupportedMediaType, http.StatusExpectationFailed, http.StatusMisdirectedRequest,
		http.StatusUpgradeRequired, http.StatusPreconditionRequired, http.StatusTooManyRequests,
		http.StatusRequestHeaderFieldsTooLarge:
		return true
	case http.StatusServiceUnavailable:
		return e.hasRetryAfter && header.Get("Via") == ""
	}
	return e.Code >= 300 && e.Code < 400
}

// retryAfter reads the Retry-After header: seconds or a date. A date is compared with the
// Date header, if there is one.
func retryAfter(header http.Header) (after time.Duration, ok bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if value[0] >= '0' && value[0] <= '9' {
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, false
		}
		return time.Duration(min(seconds, math.MaxInt32) * float64(time.Second)), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now)), true
}

// printable returns a text as one short line.
func printable(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
	if len(s) > shownPiece {
		s = strings.ToValidUTF8(s[:shownPiece], "") + "…"
	}
	return s
}
