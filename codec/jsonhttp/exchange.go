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

// The states of a request. It leaves fresh by compare-and-swap: by its transport
// taking the last byte, or by being given up.
const (
	fresh   uint32 = iota // its last byte has not been handed to the transport
	sent                  // all of it may have left
	givenUp               // and never leaves whole, so that no server can run it
)

// exchange is one request, on its way in a goroutine of its own.
type exchange struct {
	conn     *Conn
	request  []byte
	id       json.RawMessage // nil for a notification
	seq      uint64          // id as a number
	numbered bool            // it is one
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
	json.Unmarshal(request, &asks) //nolint:errcheck // the server will say so
	x.id, x.ping = asks.ID, asks.Method == codec.PingMethod
	seq, err := strconv.ParseUint(string(x.id), 10, 64)
	x.seq, x.numbered = seq, err == nil
	x.ctx, x.cancel = context.WithCancel(c.ctx)
	return x
}

// giveUp ends the exchange, and reports whether it is certain that the request was
// not sent and will not be.
func (x *exchange) giveUp() (notSent bool) {
	notSent = x.withdraw()
	x.cancel()
	return notSent
}

// withdraw keeps a request from leaving whole. It returns false if it may have.
func (x *exchange) withdraw() bool {
	return x.state.CompareAndSwap(fresh, givenUp) || x.state.Load() == givenUp
}

// run carries the exchange out and hands its end to Read.
func (x *exchange) run() {
	defer x.conn.forget(x)
	defer x.cancel()
	if !x.ping { // nothing that waits for a place delays a ping
		select {
		case x.conn.places <- struct{}{}:
			defer func() { <-x.conn.places }()
		case <-x.ctx.Done():
			x.hand(nil, x.broken(x.ctx.Err()))
			return
		}
	}
	reply, failure := x.post()
	x.hand(reply, failure)
}

func (x *exchange) hand(reply []byte, failure *codec.ExchangeError) {
	e := end{reply: reply}
	switch {
	case x.id == nil:
		return
	case failure != nil && x.numbered:
		e.err = failure
	case failure != nil: // it has no number that an ExchangeError could have
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
		return nil, x.broken(err)
	}
	if err != nil { // CheckRedirect's, and the body is closed
		return nil, x.refused(response, nil, nil)
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

// judge finds the reply in a response. A reply is one whatever the status, but that
// a server which asks to be spared is obeyed.
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
		return nil, x.refused(response, body, r.failure)
	case readErr != nil:
		return nil, x.broken(readErr)
	case tooLarge:
		return nil, x.unusable(fmt.Errorf("jsonhttp: the reply is larger than %d bytes, Config.MaxFrame", most))
	case malformed != nil:
		return nil, x.unusable(malformed)
	}
	return nil, x.refused(response, body, nil)
}

// broken is the end of an exchange without an answer, or with half of one.
func (x *exchange) broken(err error) *codec.ExchangeError {
	return &codec.ExchangeError{Seq: x.seq, NotRun: x.withdraw(), Err: x.conn.explained(err)}
}

// unusable is the end of an exchange with a reply that cannot be read.
func (x *exchange) unusable(err error) *codec.ExchangeError {
	return &codec.ExchangeError{Seq: x.seq, Answer: codec.Rejected, Err: &codec.DecodeError{Err: err}}
}

// refused is the end of an exchange with a response that is no reply, but for the
// error that may be in its body.
func (x *exchange) refused(response *http.Response, body []byte, failure error) *codec.ExchangeError {
	status := newStatusError(x.conn.url, response, body, failure)
	return &codec.ExchangeError{
		Seq: x.seq, NotRun: x.withdraw() || status.notRun(response.Header), Answer: status.answer(),
		RetryAfter: status.RetryAfter, Err: status,
	}
}

// body is a request as its transport reads it: once that has taken the last byte,
// all of it may have left. Before that no server can run it, for it is no JSON.
type body struct {
	x    *exchange
	rest []byte
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if len(p) >= len(b.rest) {
		b.x.state.CompareAndSwap(fresh, sent)
	}
	if b.x.state.Load() == givenUp {
		return 0, context.Canceled
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer. There is nothing to close.
func (b *body) Close() error { return nil }

// rewind returns the request for another try. net/http's own transport asks for that
// only if nothing of the last one can have been acted upon; of others that is not known.
func (x *exchange) rewind() io.ReadCloser {
	if x.conn.rewinds {
		x.state.CompareAndSwap(sent, fresh)
	}
	return &body{x, x.request}
}

// refusal makes a reply of an error, for those whose ids are no numbers.
func refusal(id json.RawMessage, err error) []byte {
	object, _ := json.Marshal(&codec.Error{Code: codec.CodeInternalError, Message: err.Error()}) //nolint:errcheck // it has no data
	return bytes.Join([][]byte{[]byte(`{"jsonrpc":"2.0","error":`), object, []byte(`,"id":`), id, []byte("}\n")}, nil)
}
