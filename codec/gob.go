package codec

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"reflect"
	"sync"
	"sync/atomic"
)

// Gob makes codecs for gob, the wire format of net/rpc. They are compatible with net/rpc
// peers. The zero Gob is the default.
type Gob struct {
	// MaxFrame is the largest frame, header and body, in bytes. 0 means 64 MiB;
	// negative means no limit. The error for a larger frame is a *FrameError. A reply that
	// may hold an interface counts with the definitions of all its types, even if the
	// client knows them.
	MaxFrame int64
}

// NewGobClient returns the default client codec for gob: Gob{}.NewClient.
func NewGobClient(conn io.ReadWriteCloser) rpc.ClientCodec { return Gob{}.NewClient(conn) }

// NewClient returns a client codec over conn. One goroutine at a time may write requests,
// while another one reads replies.
func (g Gob) NewClient(conn io.ReadWriteCloser) rpc.ClientCodec {
	c := &gobClient{conn: conn}
	c.in.init(conn, maxFrame(g.MaxFrame))
	c.out.init(requests(conn), maxFrame(g.MaxFrame), rpc.Request{})
	return c
}

// IsGob reports whether a client codec is one of Gob's, for a Carrier.
func IsGob(client rpc.ClientCodec) bool {
	_, ok := client.(*gobClient)
	return ok
}

type gobClient struct {
	metaPeer
	conn io.ReadWriteCloser
	in   gobReader
	out  gobWriter
}

// WholeFrames implements the interface of the same name.
func (c *gobClient) WholeFrames() {}

// CutShort returns why the stream ended within the body of the reply whose header was read
// last. It returns nil if it did not, or ended because the body is too large.
func (c *gobClient) CutShort() error {
	if err := c.in.bodyErr; err != nil && !errors.As(err, new(*FrameError)) {
		return err
	}
	return nil
}

// Retired reports whether every further WriteRequest fails with ErrRetired.
func (c *gobClient) Retired() bool { return c.out.retired != nil }

func (c *gobClient) WriteRequest(r *rpc.Request, body any) error {
	return c.out.write(gobHeader{method: r.ServiceMethod, seq: r.Seq}, body)
}

func (c *gobClient) ReadResponseHeader(r *rpc.Response) error {
	h, err := c.in.next()
	if err != nil {
		return err
	}
	r.ServiceMethod, r.Seq, r.Error = h.method, h.seq, h.errmsg
	if c.in.meta.use {
		c.SetMetaSupport(c.in.meta.declared)
	}
	return nil
}

func (c *gobClient) ReadResponseBody(body any) error { return c.in.decode(body) }

func (c *gobClient) Close() error { return c.conn.Close() }

// NewGobServer returns the default server codec for gob: Gob{}.NewServer.
func NewGobServer(conn io.ReadWriteCloser) rpc.ServerCodec { return Gob{}.NewServer(conn) }

// NewServer returns a server codec over conn, for rpc.ServeCodec. If a reply cannot be
// encoded, or is larger than MaxFrame, an error is sent in its place, and WriteResponse
// returns that as an *EncodeError. A failed write closes conn, because net/rpc's server
// ignores the error.
func (g Gob) NewServer(conn io.ReadWriteCloser) rpc.ServerCodec {
	s := &gobServer{conn: conn}
	s.in.init(conn, maxFrame(g.MaxFrame))
	s.out.init(conn, maxFrame(g.MaxFrame), rpc.Response{})
	return s
}

type gobServer struct {
	conn     io.ReadWriteCloser
	in       gobReader
	canceled func(seq uint64) // nil without metadata
	// answersMeta says that the client understands metadata. The first request decides.
	answersMeta atomic.Bool
	asked       bool // a request has been read; used by the reader only

	send    sync.Mutex // protects following, and the order of replies
	out     gobWriter
	replied bool // the first reply has been written, or has failed
	// trial encodes a reply that may hold an interface before out does: out's encoder
	// cannot be used any more after an error in such a reply.
	trial     *gob.Encoder
	trialSize counter // bytes that trial has encoded, of all replies

	once sync.Once // closes conn
	err  error     // what closing it returned
}

func (s *gobServer) ReadRequestHeader(r *rpc.Request) error {
	for {
		h, err := s.in.next()
		if err != nil {
			return err
		}
		if !s.asked {
			s.asked = true
			s.answersMeta.Store(s.in.meta.declared)
		}
		if h.method == cancelMethod && s.in.meta.declared {
			s.canceled(h.seq)
			continue
		}
		r.ServiceMethod, r.Seq = h.method, h.seq
		return nil
	}
}

func (s *gobServer) ReadRequestBody(body any) error { return s.in.decode(body) }

// ReadAhead implements the interface of the same name.
func (s *gobServer) ReadAhead() bool { return len(s.in.in.bytes()) > s.in.pos }

func (s *gobServer) WriteResponse(r *rpc.Response, body any) error {
	return s.WriteResponseMeta(r, nil, body)
}

// write sends a reply, or an error in its place. The caller holds send.
func (s *gobServer) write(h gobHeader, body any) error {
	if answers := s.answersMeta.Load(); !answers {
		h.response = nil
	} else if !s.replied {
		s.out.define(gobResponse{})
	}
	s.replied = true
	err := s.try(h, body)
	if err == nil {
		err = s.out.write(h, body)
	}
	var replaced error // the error that is sent in place of the reply
	if encode := (*EncodeError)(nil); errors.As(err, &encode) {
		replaced = unencodable(encode)
		h.errmsg = replaced.Error()
		err = s.out.write(h, struct{}{})
	}
	if err != nil {
		s.Close() //nolint:errcheck // the write's error says more
		return err
	}
	return replaced
}

// try returns an error if a reply that may hold an interface cannot be encoded, or is larger
// than MaxFrame with the definitions of all its types.
func (s *gobServer) try(h gobHeader, body any) error {
	if body == nil || !s.out.mayHoldInterface(reflect.TypeOf(body)) {
		return nil
	}
	before := s.out.overhead(h)
	room, used := s.out.max-before, s.trial != nil
	err := s.encodeTrial(body)
	if err == nil && used && int64(s.trialSize) > room/2 {
		s.trial = nil // it has left out definitions; the size of this reply with them is not known
		err = s.encodeTrial(body)
	}
	size := int64(s.trialSize)
	if err != nil || size > keepBuffer { // it keeps a buffer of up to this size
		s.trial = nil
	}
	if err == nil && size > room {
		err = &FrameError{Size: before + size, Max: s.out.max, limitName: gobLimitName}
	}
	if err != nil {
		return &EncodeError{err}
	}
	return nil
}

// encodeTrial encodes a body with trial, or with a new one.
func (s *gobServer) encodeTrial(body any) error {
	if s.trial == nil {
		s.trial, s.trialSize = gob.NewEncoder(&s.trialSize), 0
	}
	return encodeGob(s.trial, body)
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func (s *gobServer) Close() error {
	s.once.Do(func() { s.err = s.conn.Close() })
	return s.err
}

// unencodable returns the error that is sent in place of a reply that cannot be encoded.
func unencodable(err *EncodeError) error {
	return &EncodeError{fmt.Errorf("codec: the reply cannot be sent: %w", err.Err)}
}
