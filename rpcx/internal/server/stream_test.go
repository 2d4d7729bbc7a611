package server

import (
	"errors"
	"fmt"
	"net/rpc"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/simnet"
	"resilientrpc/rpcx/internal/wire"
)

// A reply may wait for that of the next request, but not for its method, nor for long.
func TestStreamJoinsNextFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(wire.New(nil, wire.Config{}))
		require.True(t, s.joinsNextFlush())
		time.Sleep(maxJoinDelay)
		require.False(t, s.joinsNextFlush(), "it has waited long enough")
		require.True(t, s.joinsNextFlush(), "what waited is being sent")
		s.pause()
		require.False(t, s.joinsNextFlush(), "the reader does not come by")
		s.waiting.Store(false)
		require.True(t, s.joinsNextFlush())
		s.BeginFrame()
		s.WriteFrame(make([]byte, 1<<20)) //nolint:errcheck // it goes to memory
		s.EndFrame()
		require.False(t, s.joinsNextFlush(), "others wait for the room")
	})
}

// Requests that come in one segment are answered one by one, each when its method
// returns, also if its reply waits for the next one's.
func TestServeHoldsNoReplyBack(t *testing.T) {
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := simnet.New()
				cfg := config(t, new(Work))
				cfg.NewCodec = c.server
				lis := network.Listen("s:1")
				ended := make(chan error, 1)
				go func() { ended <- Serve(t.Context(), lis, cfg) }()
				conn, err := network.DialContext(t.Context(), "tcp", "s:1")
				require.NoError(t, err)
				w := wire.New(conn, wire.Config{Go: func(f func()) { go f() }, Fail: func(error) {}})
				client := rpc.NewClientWithCodec(c.client(w))
				w.BeginFrame()
				begin, done := time.Now(), make(chan *rpc.Call, 3)
				for _, d := range []time.Duration{0, time.Hour, time.Minute} {
					client.Go("Work.Sleep", d, new(int), done)
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
		for begin := time.Now(); time.Since(begin) < 2*maxJoinDelay; {
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
	lis := listen(t)
	stop := serve(lis, config(t, Mixed{}))
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
	require.NoError(t, stop())
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
