package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/wire"
)

// failing is a codec whose connection ends while it writes a request, of which a part has left
// or nothing. Its exchanges have not been told yet when it notices.
type failing struct {
	observer
	conn    io.ReadWriteCloser
	lives   bool // the connection has not ended yet, but its wire
	part    string
	err     error
	leaving chan struct{} // receives when the connection takes no more requests
	goOn    chan struct{} // closed when it may end its exchanges
}

func (f *failing) Retired() {
	f.leaving <- struct{}{}
	<-f.goOn
}

func (f *failing) WriteRequest(*rpc.Request, any) error {
	io.WriteString(f.conn, f.part) //nolint:errcheck // it goes to memory
	if w := f.Wire(); w != nil {
		w.Send(true) // as a flusher does that still runs
	}
	if f.lives {
		f.Wire().Stop(wire.ErrClosed) // as a write that fails does before the connection knows
	} else {
		go f.Fail(io.ErrUnexpectedEOF)
		<-f.leaving
	}
	if f.err != nil {
		return f.err
	}
	_, err := io.WriteString(f.conn, "the rest")
	return err
}

func (f *failing) ReadResponseHeader(*rpc.Response) error {
	_, err := f.conn.Read(make([]byte, 1))
	return err
}

func (f *failing) ReadResponseBody(any) error { return nil }
func (f *failing) Close() error               { return f.conn.Close() }

// A request of which a part has left may have been sent, also if its writer is the first to
// notice that the connection has ended.
func TestWriterNoticesThatTheConnectionHasEnded(t *testing.T) {
	unencodable := &codec.EncodeError{Err: errors.New("bad")}
	for name, c := range map[string]struct {
		given bool // the codec, and what it has written is not known
		lives bool
		part  string
		err   error
		out   Outcome
	}{
		"nothing has left":              {out: Outcome{Cause: ConnectionLost, Err: io.ErrUnexpectedEOF}},
		"a part has left":               {part: "a part", out: Outcome{Cause: ConnectionLost, Err: io.ErrUnexpectedEOF, Sent: MaybeSent}},
		"nothing has left of a wire":    {lives: true, out: Outcome{Cause: NotTaken, Err: wire.ErrClosed}},
		"a part has left of a wire":     {lives: true, part: "a part", out: Outcome{Cause: ConnectionLost, Err: wire.ErrClosed, Sent: MaybeSent}},
		"a given codec":                 {given: true, err: errors.New("reset"), out: Outcome{Cause: ConnectionLost, Err: io.ErrUnexpectedEOF, Sent: MaybeSent}},
		"a given codec has not encoded": {given: true, err: unencodable, out: Outcome{Cause: ConnectionLost, Err: io.ErrUnexpectedEOF}},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			go io.Copy(io.Discard, far) //nolint:errcheck // until it ends
			f := &failing{part: c.part, err: c.err, lives: c.lives, leaving: make(chan struct{}), goOn: make(chan struct{})}
			if c.given {
				f.conn = near
				f.OpenCodec(f, Config{Observer: f})
			} else {
				require.NoError(t, f.Open(near, func(conn io.ReadWriteCloser) (rpc.ClientCodec, error) {
					f.conn = conn
					return f, nil
				}, Config{Observer: f}))
			}
			if c.lives {
				close(f.goOn)
				go func() { <-f.leaving }()
			}
			out := f.Do(context.Background(), &Exchange{Method: "A.B", Args: 1, Reply: new(int)})
			require.Equal(t, c.out, out)
			if !c.lives {
				close(f.goOn)
			} else {
				f.Fail(io.EOF)
			}
			<-f.CloseDone()
		})
	}
}
