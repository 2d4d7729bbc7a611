package rpcx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/rpc"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/simnet"
	"resilientrpc/rpcx/internal/wire"
)

// A reply may wait for that of the next request, but not for its method, nor for long.
func TestServerStreamTakesAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServerStream(wire.New(nil, wire.Config{}))
		require.True(t, s.takesAlong())
		time.Sleep(gatherFor)
		require.False(t, s.takesAlong(), "it has waited long enough")
		require.True(t, s.takesAlong(), "what waited is being sent")
		s.waiting.Store(true)
		require.False(t, s.takesAlong(), "nobody comes by")
		s.waiting.Store(false)
		require.True(t, s.takesAlong())
		s.BeginFrame()
		s.WriteFrame(make([]byte, 1<<20)) //nolint:errcheck // it goes to memory
		s.EndFrame()
		require.False(t, s.takesAlong(), "others wait for the room")
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
				w := wire.New(conn, wire.Config{Go: func(f func()) { go f() }, Fail: func(error) {}})
				client := rpc.NewClientWithCodec(c.client(w))
				w.BeginFrame()
				begin, done := time.Now(), make(chan *rpc.Call, 3)
				for _, d := range []time.Duration{0, time.Hour, time.Minute} {
					client.Go("Nap.Take", d, new(int), done)
				}
				w.EndFrame()
				w.Flush(false)
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

// Mixed is a service whose methods take their time in every way.
type Mixed struct{}

// Do implements a method.
func (Mixed) Do(n int, reply *int) error {
	switch *reply = n; n % 16 {
	case 0:
		time.Sleep(time.Duration(n%5) * time.Millisecond) // real sockets: what the method takes
	case 1:
		for begin := time.Now(); time.Since(begin) < 2*gatherFor; {
		}
	case 2:
		panic(n)
	case 3:
		runtime.Goexit()
	case 4:
		return errors.New(strconv.Itoa(n))
	}
	return nil
}

// Whatever methods do, and however requests arrive, each has its own answer.
func TestServeAnswersAll(t *testing.T) {
	leak.Check(t)
	server := rpc.NewServer()
	require.NoError(t, server.Register(Mixed{}))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	cfg := ServeConfig{Logger: slog.New(slog.DiscardHandler)}
	go func() { ended <- cfg.Serve(ctx, lis, server, nil) }()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c, err := rpc.Dial("tcp", lis.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			done := make(chan *rpc.Call, 500)
			for n := range cap(done) {
				c.Go("Mixed.Do", i*cap(done)+n, new(int), done)
			}
			for range cap(done) {
				call := <-done
				if want := wantOf(call.Args.(int)); fmt.Sprint(call.Error) != want || call.Error == nil && *call.Reply.(*int) != call.Args {
					t.Errorf("call %v has the answer %v and the error %v; want %s", call.Args, *call.Reply.(*int), call.Error, want)
				}
			}
		})
	}
	wg.Wait()
	stop()
	require.NoError(t, <-ended)
}

func wantOf(n int) string {
	switch n % 16 {
	case 2, 3:
		return "rpcx: the method panicked"
	case 4:
		return strconv.Itoa(n)
	}
	return fmt.Sprint(error(nil))
}
