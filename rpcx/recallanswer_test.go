package rpcx_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// A slowConn takes a second for every rate bytes that come.
type slowConn struct {
	net.Conn
	rate int
}

func (c slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:min(len(b), c.rate/8)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate))
	return n, err
}

// The answer to a question may take longer than DialTimeout to arrive.
func TestLongAnswerOverASlowLink(t *testing.T) {
	t.Parallel()
	const size = 512 << 10
	for _, limit := range []time.Duration{0, time.Minute} {
		for _, json := range []bool{false, true} {
			inShop(t, 1, rpcx.ServeConfig{}, json, func(t *testing.T, s *shop) {
				p := s.press(size)
				s.wrap(func(conn net.Conn) net.Conn { return slowConn{conn, size / 8} })
				asked := s.asked()
				s.dialer.CallTimeout = limit
				c := s.dial()
				defer c.Close()
				s.breaksAt(time.Second)
				var text string
				require.NoError(t, c.Call("Press.Print", time.Duration(0), &text))
				require.Len(t, text, size)
				require.EqualValues(t, 1, p.runs.Load())
				require.Len(t, *asked, 1)
				require.InDelta(t, 8, (*asked)[0].Duration.Seconds(), 1)
			})
		}
	}
}

// An answer that is larger than the client takes ends each connection over which it comes, so
// it is not asked for again and again.
func TestAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	for _, json := range []bool{false, true} {
		inShop(t, 1, rpcx.ServeConfig{}, json, func(t *testing.T, s *shop) {
			p := s.press(1 << 20)
			s.dialer.Codec = codec.Gob{MaxFrame: 512 << 10}.NewClient
			if json {
				s.dialer.Codec = codec.JSON{MaxFrame: 512 << 10}.NewClient
			}
			s.dialer.CallTimeout = time.Minute
			c := s.dial()
			defer c.Close()
			dials := s.network.Dials(s.addr(0))
			err := c.Call("Press.Print", time.Duration(0), new(string))
			require.ErrorAs(t, err, new(*codec.FrameError))
			require.EqualValues(t, 1, p.runs.Load())
			require.LessOrEqual(t, s.network.Dials(s.addr(0))-dials, 2)
		})
	}
}

// A question is a part of its attempt, and ends with the deadline that AttemptStart has set for
// that.
func TestQuestionEndsWithItsAttempt(t *testing.T) {
	inShop(t, 1, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
		limit := time.Minute
		s.dialer.Trace = &rpcx.ClientTrace{AttemptStart: func(ctx context.Context, _ rpcx.AttemptInfo) context.Context {
			ctx, cancel := context.WithTimeout(ctx, limit)
			context.AfterFunc(ctx, cancel)
			return ctx
		}}
		c := s.dial()
		defer c.Close()
		limit = 3 * time.Second
		begin := time.Now()
		ce := doubtful(t, s, c, t.Context(), time.Minute)
		require.Equal(t, limit, time.Since(begin))
		require.ErrorIs(t, ce, context.DeadlineExceeded)
		require.Equal(t, rpcx.RecallUnanswered, ce.Recall)
	})
}
