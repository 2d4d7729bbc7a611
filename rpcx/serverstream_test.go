package rpcx

import (
	"io"
	"net/rpc"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/simnet"
)

// A reply may wait for that of the next request, but not for its method, nor for long.
func TestServerStreamTakesAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServerStream(nil)
		require.True(t, s.takesAlong())
		time.Sleep(gatherFor)
		require.False(t, s.takesAlong(), "it has waited long enough")
		require.True(t, s.takesAlong(), "what waited is being sent")
		s.waiting.Store(true)
		require.False(t, s.takesAlong(), "nobody comes by")
	})
}

// Nap is a service.
type Nap struct{}

// Take implements a method.
func (Nap) Take(d time.Duration, _ *int) error {
	time.Sleep(d)
	return nil
}

// Requests that come in one segment are answered one by one, each when its method
// returns, also if its reply waits for the next one's.
func TestServeHoldsNoReplyBack(t *testing.T) {
	for name, c := range map[string]struct {
		server func(io.ReadWriteCloser) rpc.ServerCodec
		client func(io.ReadWriteCloser) rpc.ClientCodec
	}{
		"gob":   {codec.NewGobServer, codec.NewGobClient},
		"json":  {codec.NewJSONServer, codec.NewJSONClient},
		"json2": {codec.NewJSON2Server, codec.NewJSON2Client},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := simnet.New()
				server := rpc.NewServer()
				require.NoError(t, server.Register(Nap{}))
				lis := network.Listen("s:1")
				ended := make(chan error, 1)
				go func() { ended <- Serve(t.Context(), lis, server, c.server) }()
				conn, err := network.DialContext(t.Context(), "tcp", "s:1")
				require.NoError(t, err)
				w := newWire(conn, func(f func()) { go f() }, func(error) {})
				client := rpc.NewClientWithCodec(c.client(w))
				w.cork()
				begin, done := time.Now(), make(chan *rpc.Call, 3)
				for _, d := range []time.Duration{0, time.Hour, time.Minute} {
					client.Go("Nap.Take", d, new(int), done)
				}
				w.uncork()
				w.flush(false)
				for _, d := range []time.Duration{0, time.Minute, time.Hour} {
					require.NoError(t, (<-done).Error)
					require.Equal(t, d, time.Since(begin))
				}
				require.NoError(t, client.Close())
				lis.Close()
				<-ended
			})
		})
	}
}
