package codec

import (
	"io"
	"net/rpc"
)

// Gob makes codecs for gob, net/rpc's own wire format. A stock net/rpc peer at
// the other end does not notice the difference. The zero Gob is the default.
type Gob struct {
	// MaxFrame is the largest frame, header and body, in bytes. 0 means 64 MiB;
	// negative means no limit. A frame beyond it is a *FrameError.
	MaxFrame int64
}

// NewGobClient returns the default client codec for gob: Gob{}.NewClient. It fits
// wherever a func(io.ReadWriteCloser) rpc.ClientCodec is wanted.
func NewGobClient(conn io.ReadWriteCloser) rpc.ClientCodec { return Gob{}.NewClient(conn) }

// NewClient returns a client codec over conn. One goroutine at a time may write
// requests, and another one read replies, as net/rpc's Client does.
func (g Gob) NewClient(conn io.ReadWriteCloser) rpc.ClientCodec {
	c := &gobClient{conn: conn}
	c.in.init(conn, maxFrame(g.MaxFrame))
	c.out.init(conn, maxFrame(g.MaxFrame), rpc.Request{})
	return c
}

type gobClient struct {
	conn io.ReadWriteCloser
	in   gobReader
	out  gobWriter
}

// WholeFrames implements the interface of the same name.
func (c *gobClient) WholeFrames() {}

func (c *gobClient) WriteRequest(r *rpc.Request, body any) error {
	return c.out.write(&gobHeader{method: r.ServiceMethod, seq: r.Seq}, body)
}

func (c *gobClient) ReadResponseHeader(r *rpc.Response) error {
	var h gobHeader
	if err := c.in.next(&h); err != nil {
		return err
	}
	r.ServiceMethod, r.Seq, r.Error = h.method, h.seq, h.errmsg
	return nil
}

func (c *gobClient) ReadResponseBody(body any) error { return c.in.decode(body) }

func (c *gobClient) Close() error { return c.conn.Close() }
