package jsonhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	"resilientrpc/codec"
)

// The states of a request. They change by compare-and-swap:
//
//	from     event                                               to
//	unsent   the transport reads the last byte                   sent
//	unsent   the exchange is abandoned                           abandoned
//	sent     the transport retries what no server can have run   unsent
const (
	unsent    uint32 = iota // the transport has not read the last byte
	sent                    // the whole request may have been sent
	abandoned               // the whole request will never be sent, so no server can run it
)

// exchange is a request and its reply. It runs in its own goroutine.
type exchange struct {
	conn     *Conn
	request  []byte
	id       json.RawMessage // nil for a notification
	seq      uint64          // id as a number
	numbered bool            // id is a number
	ping     bool
	ctx      context.Context
	cancel   context.CancelFunc
	state    atomic.Uint32
}

func newExchange(c *Conn, request []byte) *exchange {
	x := &exchange{conn: c, request: request}
	var asks struct {
		ID     json.RawMessage
		Method string
	}
	json.Unmarshal(request, &asks) //nolint:errcheck // the server reports it
	x.id, x.ping = asks.ID, asks.Method == codec.PingMethod
	seq, err := strconv.ParseUint(string(x.id), 10, 64)
	x.seq, x.numbered = seq, err == nil
	x.ctx, x.cancel = context.WithCancel(c.ctx)
	return x
}

// abandon ends the exchange. It reports whether the request certainly was not sent and
// will not be sent.
func (x *exchange) abandon() (notSent bool) {
	notSent = x.withdraw()
	x.cancel()
	return notSent
}

// withdraw prevents the request from being sent as a whole. It returns false if it may have
// been sent.
func (x *exchange) withdraw() bool {
	return x.state.CompareAndSwap(unsent, abandoned) || x.state.Load() == abandoned
}

// run makes the HTTP request and passes its result to Read.
func (x *exchange) run() {
	defer x.conn.forget(x)
	defer x.cancel()
	if !x.ping { // a ping does not wait for a slot
		select {
		case x.conn.slots <- struct{}{}:
			defer func() { <-x.conn.slots }()
		case <-x.ctx.Done():
		}
	}
	if x.ctx.Err() != nil || x.conn.ctx.Err() != nil { // Close cancels one after the other
		x.complete(nil, x.noReply(context.Canceled))
		return
	}
	reply, failure := x.post()
	x.complete(reply, failure)
}

func (x *exchange) complete(reply []byte, failure *codec.ExchangeError) {
	e := end{reply: reply}
	switch {
	case x.id == nil:
		return
	case failure != nil && x.numbered:
		e.err = failure
	case failure != nil: // an ExchangeError needs a number
		e.reply = refusal(x.id, failure)
	}
	select {
	case x.conn.ends <- e:
	case <-x.conn.ctx.Done():
	}
}

// post makes the HTTP request. It returns a reply or an error.
func (x *exchange) post() ([]byte, *codec.ExchangeError) {
	response, err := x.conn.client.Do(x.httpRequest())
	if response == nil {
		return nil, x.noReply(err)
	}
	if err != nil { // from CheckRedirect; the body is closed
		return nil, x.badResponse(response, nil, nil)
	}
	x.conn.answered.Store(true)
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, x.conn.cfg.MaxFrame+1))
	return x.judge(response, body, err)
}

func (x *exchange) httpRequest() *http.Request {
	c := x.conn
	r := &http.Request{
		Method: http.MethodPost, URL: c.url, Host: c.host, Header: c.header.Clone(),
		Body: &body{x, x.request}, ContentLength: int64(len(x.request)),
		GetBody: func() (io.ReadCloser, error) { return x.rewind(), nil },
	}
	return r.WithContext(x.ctx)
}

// judge returns the reply in a response, whatever its status, or an error. If the status
// is 429 or 503 and the reply is an error, it returns the status as the error.
func (x *exchange) judge(response *http.Response, body []byte, readErr error) ([]byte, *codec.ExchangeError) {
	most := x.conn.cfg.MaxFrame
	tooLarge := int64(len(body)) > most
	var r reply
	var malformed error
	if readErr == nil && !tooLarge {
		r, malformed = readReply(x.id, body)
	}
	code := response.StatusCode
	switch {
	case r.text != nil && (r.failure == nil || code != http.StatusTooManyRequests && code != http.StatusServiceUnavailable):
		return r.text, nil
	case code >= 300:
		return nil, x.badResponse(response, body, r.failure)
	case readErr != nil:
		return nil, x.noReply(readErr)
	case tooLarge:
		return nil, x.invalidReply(fmt.Errorf("jsonhttp: the reply is larger than %d bytes, Config.MaxFrame", most))
	case malformed != nil:
		return nil, x.invalidReply(malformed)
	}
	return nil, x.badResponse(response, body, nil)
}

// noReply returns the error of an exchange without a complete response.
func (x *exchange) noReply(err error) *codec.ExchangeError {
	return &codec.ExchangeError{Seq: x.seq, NotRun: x.withdraw(), Err: x.conn.explained(err)}
}

// invalidReply returns the error of an exchange whose reply cannot be decoded.
func (x *exchange) invalidReply(err error) *codec.ExchangeError {
	return &codec.ExchangeError{Seq: x.seq, Answer: codec.Rejected, Err: &codec.DecodeError{Err: err}}
}

// badResponse returns the error of an exchange whose response is no reply. failure is the
// JSON-RPC error in the response, or nil.
func (x *exchange) badResponse(response *http.Response, body []byte, failure error) *codec.ExchangeError {
	status := newStatusError(x.conn.url, response, body, failure)
	return &codec.ExchangeError{
		Seq: x.seq, NotRun: x.withdraw() || status.notRun(response.Header), Answer: status.answer(),
		RetryAfter: status.RetryAfter, Err: status,
	}
}

// body is the body of the HTTP request. Until the transport has read the last byte, no
// server can run the request, because a part of it is not valid JSON.
type body struct {
	x    *exchange
	rest []byte
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if len(p) >= len(b.rest) {
		b.x.state.CompareAndSwap(unsent, sent)
	}
	if b.x.state.Load() == abandoned {
		return 0, context.Canceled
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer. There is nothing to close.
func (b *body) Close() error { return nil }

// rewind returns the body for a retry by the transport. net/http's transport retries only
// if the server cannot have run the request. For other transports this is not known.
func (x *exchange) rewind() io.ReadCloser {
	if x.conn.mayRewind {
		x.state.CompareAndSwap(sent, unsent)
	}
	return &body{x, x.request}
}

// refusal returns an error as a reply, for a request whose id is no number.
func refusal(id json.RawMessage, err error) []byte {
	object, _ := json.Marshal(&codec.Error{Code: codec.CodeInternalError, Message: err.Error()}) //nolint:errcheck // it has no data
	return bytes.Join([][]byte{[]byte(`{"jsonrpc":"2.0","error":`), object, []byte(`,"id":`), id, []byte("}\n")}, nil)
}
