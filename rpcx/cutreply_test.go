package rpcx_test

import (
	"context"
	"io"
	"net"
	"net/rpc"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// Press is a service with large replies.
type Press struct {
	runs atomic.Int64
	size int
}

// Print implements a method.
func (p *Press) Print(takes time.Duration, text *string) error {
	p.runs.Add(1)
	time.Sleep(takes) // virtual
	*text = strings.Repeat("x", p.size)
	return nil
}

// press adds a Press to the servers, each of which starts anew.
func (s *shop) press(size int) *Press {
	p := &Press{size: size}
	s.extra = p
	for i := range s.relays {
		s.restart(i)
	}
	return p
}

// wrap has the connections of the client wrapped.
func (s *shop) wrap(f func(net.Conn) net.Conn) {
	dial := s.dialer.NetDial
	s.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return f(conn), nil
	}
}

// A snipper ends one of its connections once a number of bytes has come over them.
type snipper struct{ left atomic.Int64 }

type snippedConn struct {
	net.Conn
	by *snipper
}

func (c snippedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if left := c.by.left.Add(-int64(n)); left < 0 && left+int64(n) >= 0 {
		c.Close()
		return 0, io.EOF
	}
	return n, err
}

// foreign is a codec of which no more is known than of one that is not of this module.
type foreign struct{ rpc.ClientCodec }

// A connection that ends within a reply is a lost connection as any other: the call is
// repeated if that may be done, else the server is asked for the answer, and else it may have
// run.
func TestConnectionEndsWithinAReply(t *testing.T) {
	t.Parallel()
	const size = 64 << 10
	for name, tt := range map[string]struct {
		methods map[string]rpcx.MethodOptions
		keep    int
		runs    int64
		err     error
	}{
		"asked for":              {runs: 1},
		"repeated":               {methods: idempotent("Press.*"), runs: 2},
		"no answers are kept":    {keep: -1, runs: 1, err: io.ErrUnexpectedEOF},
		"no room for the answer": {keep: 1, runs: 1, err: io.ErrUnexpectedEOF},
	} {
		for how := range 2 {
			for kind, makeCodec := range map[string]func(io.ReadWriteCloser) rpc.ClientCodec{
				"gob": nil, "json": codec.NewJSONClient,
				"foreign": func(rwc io.ReadWriteCloser) rpc.ClientCodec { return foreign{codec.NewGobClient(rwc)} },
			} {
				if kind == "foreign" && name == "asked for" {
					continue
				}
				t.Run(name+"/"+kind, func(t *testing.T) {
					inShop(t, 1, rpcx.ServeConfig{KeepAnswers: tt.keep}, kind == "json", func(t *testing.T, s *shop) {
						p := s.press(size)
						s.dialer.Codec = makeCodec
						s.dialer.Methods = tt.methods
						var by snipper
						s.wrap(func(conn net.Conn) net.Conn { return snippedConn{conn, &by} })
						c := s.dial()
						defer c.Close()
						by.left.Store(size / 2)
						var text string
						var err error
						if how == 0 {
							err = c.Call("Press.Print", time.Second, &text)
						} else {
							err = (<-c.Go("Press.Print", time.Second, &text, nil).Done).Error
						}
						require.Negative(t, by.left.Load())
						require.Equal(t, tt.err, err)
						require.Equal(t, tt.runs, p.runs.Load())
						if err == nil {
							require.Len(t, text, size)
						} else {
							require.Empty(t, text)
						}
					})
				})
			}
		}
	}
}
