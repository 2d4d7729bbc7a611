package rpcx_test

import (
	"context"
	"flag"
	"net"
	"net/rpc"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

var long = flag.Bool("long", false, "repeat more often what meets a race by chance")

// lateCalls is how many calls TestLateRepliesAreLeftAlone gives up.
func lateCalls() int {
	if *long {
		return 50_000
	}
	return 6_000
}

// Lazy answers when the caller has gone, mostly.
type Lazy struct{}

func (Lazy) Answer(n int, reply *int) error {
	time.Sleep(100 * time.Microsecond) // work, on a real server
	*reply = n
	return nil
}

// Callers give up about when the reply comes, and use the reply's memory at once:
// under the race detector, a decoder that touched it then would be seen.
func TestLateRepliesAreLeftAlone(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := rpc.NewServer()
	require.NoError(t, server.Register(Lazy{}))
	defer lis.Close()
	go server.Accept(lis)
	d := rpcx.Dialer{}
	d.Breaker.Disabled = true
	client, err := d.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer client.Close()

	const callers = 64
	var gone, answered atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			var reply int // the same for all calls
			for n := range lateCalls() / callers {
				ctx, cancel := context.WithCancel(t.Context())
				stop := time.AfterFunc(time.Duration(n%8)*300*time.Microsecond, cancel)
				err := client.CallContext(ctx, "Lazy.Answer", n+1, &reply)
				stop.Stop()
				cancel()
				switch {
				case err == nil && reply == n+1:
					answered.Add(1)
				case err == nil:
					t.Errorf("reply %d to %d", reply, n+1)
				default:
					gone.Add(1)
				}
				reply = -1
				runtime.Gosched()
				if reply != -1 {
					t.Errorf("the reply is written after the call has returned %v", err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls given up, %d answered", gone.Load(), answered.Load())
	require.Positive(t, gone.Load())
	require.Positive(t, answered.Load())
}
