package rpcx_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/mismatch"
)

// A Sleeper takes its time.
type Sleeper struct{ begun, end chan struct{} }

// Sleep returns when it is told to.
func (s *Sleeper) Sleep(n int, out *int) error {
	close(s.begun)
	<-s.end
	*out = n
	return nil
}

// Double doubles.
func (s *Sleeper) Double(n int, out *int) error {
	*out = 2 * n
	return nil
}

// recorded is a connection whose writes are kept.
type recorded struct {
	net.Conn
	mu   sync.Mutex // protects following
	sent []byte
}

func (r *recorded) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.sent = append(r.sent, p...)
	r.mu.Unlock()
	return r.Conn.Write(p)
}

func (r *recorded) has(p []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Contains(r.sent, p)
}

func (r *recorded) nudge() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return mismatch.Client{Sent: r.sent}.Nudge()
}

// What a client sends to a peer that does not answer its first request means nothing to a
// server that only takes its time: it answers this request and all others.
func TestNudgedServersServe(t *testing.T) {
	for _, m := range []misfit{
		{client: "gob", server: "gob"},
		{client: "gob", server: "Serve"},
		{client: "JSON 1", server: "JSON 1"},
		{client: "stock JSON 1", server: "JSON 1"},
		{client: "JSON 2", server: "JSON 2"},
	} {
		t.Run(m.client+" at "+m.server, func(t *testing.T) {
			t.Parallel()
			s := newMisfitServers(t)
			sleeper := &Sleeper{begun: make(chan struct{}), end: make(chan struct{})}
			require.NoError(t, s.Register(sleeper))
			conn, err := net.Dial("tcp", s.start(t, m.server))
			require.NoError(t, err)
			only := &recorded{Conn: conn}
			conns := make(chan net.Conn, 1)
			conns <- only
			d := s.dialer(m.client)
			d.NetDial = func(context.Context, string, string) (net.Conn, error) {
				select {
				case c := <-conns:
					return c, nil
				default:
					return nil, errors.New("there is one connection") // a ping is not to answer the doubt
				}
			}
			c, err := d.Dial("tcp", conn.RemoteAddr().String())
			require.NoError(t, err)
			defer c.Close()
			slow := c.Go("Sleeper.Sleep", 1, new(int), nil)
			<-sleeper.begun
			nudge := only.nudge()
			require.NotEmpty(t, nudge)
			require.Eventually(t, func() bool { return only.has(nudge) }, 20*time.Second, time.Millisecond)
			for n := range 20 {
				var double int
				require.NoError(t, c.Call("Sleeper.Double", n, &double))
				require.Equal(t, 2*n, double)
			}
			close(sleeper.end)
			require.NoError(t, (<-slow.Done).Error)
		})
	}
}
