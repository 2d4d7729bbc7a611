package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/simnet"
)

// recorded is a connection that keeps what it has sent and received.
type recorded struct {
	net.Conn
	mu             sync.Mutex // protects following
	sent, received bytes.Buffer
}

func (r *recorded) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.sent.Write(p)
	r.mu.Unlock()
	return r.Conn.Write(p)
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received.Write(p[:n])
	return n, err
}

// A stock client sends and receives the same bytes with Serve as with net/rpc's server.
func TestServeStockBytes(t *testing.T) {
	for name, stock := range map[string]struct {
		client func(io.ReadWriteCloser) *rpc.Client
		serve  func(*rpc.Server, io.ReadWriteCloser)
	}{
		"gob":  {rpc.NewClient, (*rpc.Server).ServeConn},
		"json": {stdjson.NewClient, func(s *rpc.Server, conn io.ReadWriteCloser) { s.ServeCodec(stdjson.NewServerCodec(conn)) }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, new(Work))
			cfg.NewCodec = codecs[name].server
			exchanged := func(conn net.Conn) (sent, received []byte) {
				r := &recorded{Conn: conn}
				c := stock.client(r)
				for i := range 20 {
					var out int
					require.NoError(t, c.Call("Work.Do", i, &out))
					require.Equal(t, i, out)
				}
				require.ErrorContains(t, c.Call("Work.Missing", 1, nil), "can't find")
				require.Error(t, c.Call("Work.Do", "text", new(int)))
				require.ErrorContains(t, c.Call("rpcx.Cancel", 1, nil), "can't find")
				require.NoError(t, c.Call("Work.Do", 5, new(int)))
				require.NoError(t, c.Close())
				r.mu.Lock()
				defer r.mu.Unlock()
				return bytes.Clone(r.sent.Bytes()), bytes.Clone(r.received.Bytes())
			}
			near, far := net.Pipe()
			served := make(chan struct{})
			go func() {
				stock.serve(cfg.Server, far)
				close(served)
			}()
			wantSent, wantReceived := exchanged(near)
			<-served

			lis := listen(t)
			stop := serve(lis, cfg)
			conn, err := net.Dial("tcp", lis.Addr().String())
			require.NoError(t, err)
			sent, received := exchanged(conn)
			require.NoError(t, stop())
			require.Equal(t, wantSent, sent)
			require.Equal(t, string(wantReceived), string(received))
		})
	}
}

// Replies say how many requests run, and now and then what the time of the connection is, to
// clients that take that.
func TestRepliesHaveTheLoad(t *testing.T) {
	asked(t, func(t *testing.T, a *Asking, p *peer, _ *Counters, stop func() error) {
		const waiting = 5
		for range waiting {
			p.start(t, "Asking.Do", codec.RequestMeta{}, Ask{Within: time.Hour})
		}
		synctest.Wait()
		p.start(t, "Asking.Left", codec.RequestMeta{}, 1)
		require.Empty(t, p.next(t, new(time.Duration)).Error)
		require.Equal(t, waiting+1, p.ResponseMeta().Running)

		clocks := 0
		for range 20 {
			time.Sleep(clockEvery / 4)
			sent := time.Since(p.began)
			p.start(t, "Asking.Left", codec.RequestMeta{}, 1)
			require.Empty(t, p.next(t, new(time.Duration)).Error)
			if clock := p.ResponseMeta().Clock; clock > 0 {
				require.Equal(t, sent, clock, "the network takes no time here")
				clocks++
			}
		}
		require.Equal(t, 5, clocks)
		require.NoError(t, p.Close())
		require.NoError(t, stop(), "the contexts of the methods have ended")
		for range waiting {
			require.Equal(t, errLost, <-a.causes)
		}
	})
}

// What is refused because the serving stops is counted.
func TestRefusedAreCounted(t *testing.T) {
	asked(t, func(t *testing.T, _ *Asking, p *peer, counters *Counters, stop func() error) {
		p.start(t, "Asking.Do", codec.RequestMeta{}, Ask{Within: 2 * time.Second})
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- stop() }()
		synctest.Wait()
		refused := p.start(t, "Asking.Do", codec.RequestMeta{}, Ask{})
		r := p.next(t, new(int))
		require.Equal(t, refused, r.Seq)
		require.True(t, p.refused(r))
		require.EqualValues(t, 1, counters.Refused.Load())
		require.Empty(t, p.next(t, new(int)).Error)
		require.NoError(t, p.Close())
		require.NoError(t, <-ended)
	})
}

// A codec that carries no metadata does without.
func TestForeignCodecHasNoMeta(t *testing.T) {
	inBubble(t, func(t *testing.T, network *simnet.Network) {
		a := newAsking()
		cfg := config(t, a)
		cfg.NewCodec = stdjson.NewServerCodec
		stop := serve(network.Listen("s:1"), cfg)
		p := newPeer(codec.NewJSONClient(dial(t, network)))
		require.False(t, p.ping(t).Meta)
		p.start(t, "Asking.Left", p.in(time.Minute), 1)
		var left time.Duration
		require.Empty(t, p.next(t, &left).Error)
		require.Zero(t, left)
		p.start(t, "Asking.Do", codec.RequestMeta{}, Ask{Within: time.Hour})
		synctest.Wait()
		require.NoError(t, p.Close())
		require.Equal(t, errLost, <-a.causes, "the loss of the connection counts all the same")
		require.NotEqual(t, context.Background(), *a.last.Load().(*context.Context))
		require.NoError(t, stop())
	})
}
