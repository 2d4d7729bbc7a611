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

// maxPiece is how much of a body a StatusError keeps, in bytes, and shownPiece how
// much of that its text shows.
const (
	maxPiece   = 1 << 10
	shownPiece = 200
)

// A StatusError is a response that is no JSON-RPC reply, or one with the status 429
// or 503 whatever its body.
//
// Whether its method may have run is what the status says, since what is sent again
// must not run twice:
//
//   - 3xx, 401, 403, 404, 405, 407, 413, 414, 415, 417, 421, 426, 428, 429, 431: it has not.
//     They tell why a request is not processed.
//   - 503: it has not if Retry-After says when to come back and no Via names a gateway.
//     Without, it may have: proxies (Envoy, Varnish, Heroku's router) answer 503 also when
//     they lose, or no longer wait for, a server that has the request.
//   - All others: it may have.
type StatusError struct {
	Code       int
	Status     string        // as in http.Response
	Body       string        // its first KiB
	RetryAfter time.Duration // from the header; 0 if absent, or now
	Location   string        // from the header; empty if absent
	URL        string        // that has answered, without user, password and query

	come    bool  // Retry-After is present
	failure error // the error object in the body
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
	e.RetryAfter, e.come = retryAfter(r.Header)
	return e
}

// Error returns the status, the URL if that may be wrong, where the header points to, and the beginning of the body.
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

// Unwrap returns the *codec.Error of a body that is a JSON-RPC error, else nil.
func (e *StatusError) Unwrap() error { return e.failure }

// answer is what the status means to a client that has other servers to choose from.
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
		return e.come && header.Get("Via") == ""
	}
	return e.Code >= 300 && e.Code < 400
}

// retryAfter reads the header of that name, which has seconds or a date. A date is
// compared with the server's own clock, if the response has that.
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

// printable makes one short line of a text.
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
