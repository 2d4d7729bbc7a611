package rpcx

import (
	"cmp"
	"net/rpc"
	"slices"
	"sync"

	"resilientrpc/codec"
)

// StandardClient returns a client of package net/rpc itself that makes its calls through c,
// for code that takes a *rpc.Client: with c's retries, replicas, detection of peers that
// hang, hedges and Intercept. It always returns the same client. Closing either closes both,
// and one of the two must be closed: the garbage collector does not close c any more.
//
// The limits of net/rpc's Client remain. It has no contexts: limit its calls by
// Dialer.CallTimeout or Dialer.Methods. An error before the request is written, such as that
// of an argument that cannot be encoded, [ErrOverloaded] or [ErrShutdown], is the one that c.Go
// returns. A later error is a [ServerError] with the text of CallContext's error, because
// net/rpc has no other form for the error of one call. If c has the one connection that was
// given to [NewClient], its end is as in net/rpc: all calls in flight end with the cause, such
// as io.ErrUnexpectedEOF or [ErrUnresponsive], and later ones with ErrShutdown. If a reply of
// gob, or a well-formed one of JSON, does not fit the type of its call, the *rpc.Client ends,
// as in net/rpc: all its calls in flight fail, and later ones return ErrShutdown; c itself
// continues to work.
//
// Each reply is copied as received, until net/rpc says where to decode it. Intercept sees a
// *codec.RawReply in its place. This requires a codec of package codec: with another one,
// every call fails and is not sent.
func (c *Client) StandardClient() *rpc.Client {
	s := &c.standard
	s.once.Do(func() { s.client = rpc.NewClientWithCodec(newStandardCodec(c)) })
	return s.client
}

// standard is what StandardClient has made.
type standard struct {
	once   sync.Once
	client *rpc.Client
}

// standardCodec is the codec of a *rpc.Client. It makes calls of the requests, and replies of
// the calls that have ended.
type standardCodec struct {
	client *Client
	given  *conn           // nil unless the client has one that was given
	lost   <-chan struct{} // closed when that has ended; nil without

	wake    chan struct{} // has room for one: there is something new in ended
	current *standardCall // whose reply is read; the reader's

	mu    sync.Mutex      // protects following, and what calls have of their end
	ended []*standardCall // and not read yet
	over  bool            // nothing is read any more
}

func newStandardCodec(c *Client) *standardCodec {
	s := &standardCodec{client: c, wake: make(chan struct{}, 1)}
	if c.fixed {
		s.given = c.endpoints()[0].last.Load()
		s.lost = s.given.Done()
	}
	return s
}

// standardCall is one call of a *rpc.Client.
type standardCall struct {
	codec  *standardCodec
	seq    uint64
	method string
	reply  codec.RawReply

	err     error
	ended   bool
	written bool // net/rpc's Client is not writing it any more, and reads its end
}

// answered reports whether the call has ended with the server's answer.
func (call *standardCall) answered() bool { return call.err == nil || isServerError(call.err) }

// complete implements completion.
func (call *standardCall) complete(err error) {
	s := call.codec
	s.mu.Lock()
	defer s.mu.Unlock()
	call.err, call.ended = err, true
	if call.written {
		s.add(call)
	}
}

// add hands the end of a call to the reader. The caller holds mu.
func (s *standardCodec) add(call *standardCall) {
	if s.over {
		return
	}
	s.ended = append(s.ended, call)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// WriteRequest implements rpc.ClientCodec. It is the only one to return an error of a call
// as it is.
func (s *standardCodec) WriteRequest(r *rpc.Request, args any) error {
	call := &standardCall{codec: s, seq: r.Seq, method: r.ServiceMethod}
	s.client.start(call.method, args, &call.reply, call, s.client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if call.ended && !call.answered() {
		return asNetRPC(call.err)
	}
	call.written = true
	if call.ended {
		s.add(call)
	}
	return nil
}

// ReadResponseHeader implements rpc.ClientCodec. It waits for a call to end. Its error ends
// all calls in flight.
func (s *standardCodec) ReadResponseHeader(r *rpc.Response) error {
	for {
		call := s.take()
		if call == nil {
			if err := s.end(); err != nil {
				return err
			}
			s.wait()
			continue
		}
		s.current = call
		r.Seq, r.ServiceMethod = call.seq, call.method
		if call.err != nil {
			r.Error = cmp.Or(call.err.Error(), "rpcx: an error without a text") // to net/rpc, no text is no error
		}
		return nil
	}
}

// take returns the next call that has ended, or nil. Of one that ended because all of them
// do, net/rpc is told by end.
func (s *standardCodec) take() *standardCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, call := range s.ended {
		if call.answered() || s.cause() == nil {
			s.ended = slices.Delete(s.ended, i, i+1)
			return call
		}
	}
	return nil
}

// end returns why nothing is read any more, or nil.
func (s *standardCodec) end() error {
	err := s.cause()
	if err != nil {
		s.stop()
	}
	return err
}

// cause is what ends all calls, or nil. It stands before their ends are added.
func (s *standardCodec) cause() error {
	switch {
	case s.client.closed():
		return ErrShutdown
	case s.given != nil && s.given.Dead():
		return s.given.Cause()
	}
	return nil
}

func (s *standardCodec) wait() {
	select {
	case <-s.wake:
	case <-s.lost:
	case <-s.client.ctx.Done():
	}
}

func (s *standardCodec) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.over = nil, true
}

// ReadResponseBody implements rpc.ClientCodec. After an error of it, net/rpc reads no more.
func (s *standardCodec) ReadResponseBody(reply any) error {
	err := s.current.reply.Decode(reply)
	s.current = nil
	if err != nil {
		s.stop()
	}
	return err
}

// Close implements rpc.ClientCodec.
func (s *standardCodec) Close() error { return s.client.Close() }
