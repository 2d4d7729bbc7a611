package rpcx_test

import (
	"context"
	"io"
	"net"
	stdjson "net/rpc/jsonrpc"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/jsonrpc"
)

// silent is a peer that reads and answers nothing.
func silent(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go io.Copy(io.Discard, far)
	return near, nil
}

// Load is what a call takes with it.
type Load struct{ Bytes []byte }

// tracked counts what is not collected.
type tracked struct{ args, replies, contexts atomic.Int64 }

func track[T any](p *T, n *atomic.Int64) *T {
	n.Add(1)
	runtime.AddCleanup(p, func(n *atomic.Int64) { n.Add(-1) }, n)
	return p
}

// givenUp are the ways to give a call up.
var givenUp = map[string]func(*rpcx.Client, *tracked){
	"cancel": func(c *rpcx.Client, n *tracked) {
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), Load{}.key(), track(new(Load), &n.contexts)))
		time.AfterFunc(20*time.Millisecond, cancel)
		c.CallContext(ctx, "A.B", track(new(Load), &n.args), track(new(Load), &n.replies))
	},
	"deadline": func(c *rpcx.Client, n *tracked) {
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), Load{}.key(), track(new(Load), &n.contexts)), 20*time.Millisecond)
		defer cancel()
		c.CallContext(ctx, "A.B", track(new(Load), &n.args), track(new(Load), &n.replies))
	},
	"Go, and CallTimeout": func(c *rpcx.Client, n *tracked) {
		<-c.Go("Timed.Out", track(new(Load), &n.args), track(new(Load), &n.replies), nil).Done
	},
}

func (Load) key() any { type key struct{}; return key{} }

// Calls that were given up kept their arguments, replies and contexts until the
// connection ended, as with net/rpc.
func TestCallsGivenUpKeepNothing(t *testing.T) {
	d := rpcx.Dialer{Heartbeat: -1, NetDial: silent, Methods: map[string]rpcx.MethodOptions{"Timed.*": {Timeout: 20 * time.Millisecond}}}
	d.Breaker.Disabled = true
	for name, dial := range map[string]func() (*rpcx.Client, error){
		"gob":     func() (*rpcx.Client, error) { return d.Dial("tcp", "a:1") },
		"json":    func() (*rpcx.Client, error) { d := d; d.Codec = jsonrpc.NewClientCodec; return d.Dial("tcp", "a:1") },
		"foreign": func() (*rpcx.Client, error) { d := d; d.Codec = stdjson.NewClientCodec; return d.Dial("tcp", "a:1") },
		"NewClientWithCodec": func() (*rpcx.Client, error) {
			conn, err := silent(t.Context(), "", "")
			return rpcx.NewClientWithCodec(stdjson.NewClientCodec(conn)), err
		},
	} {
		for way, giveUp := range givenUp {
			if name == "NewClientWithCodec" && way == "Go, and CallTimeout" {
				continue // it has no CallTimeout
			}
			t.Run(name+"/"+way, func(t *testing.T) {
				c, err := dial()
				require.NoError(t, err)
				defer c.Close()
				n := new(tracked)
				const calls = 200
				ended := make(chan struct{}, calls)
				for range calls {
					go func() { giveUp(c, n); ended <- struct{}{} }()
				}
				for range calls {
					<-ended
				}
				// The standard library's codec keeps the last argument itself.
				left := func() int64 { return max(n.args.Load()-1, 0) + n.replies.Load() + n.contexts.Load() }
				for begin := time.Now(); left() > 0 && time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
					runtime.GC()
				}
				require.LessOrEqual(t, n.args.Load(), int64(1), "args")
				require.Zero(t, n.replies.Load(), "replies")
				require.Zero(t, n.contexts.Load(), "contexts")
				require.EqualValues(t, 1, c.Stats().Endpoints[0].Conns, "the connection lives")
			})
		}
	}
}

// Only one of two attempts is answered: the other one keeps nothing of the call's.
func TestHedgesThatLoseKeepNothing(t *testing.T) {
	leak.Check(t)
	c := besideSilence(t, time.Millisecond)
	n := new(tracked)
	for range 5 {
		require.NoError(t, c.Call("Any.Load", track(new(Load), &n.args), track(new(Load), &n.replies)))
	}
	require.Positive(t, c.InUse(), "losers are under way")
	for begin := time.Now(); n.args.Load()+n.replies.Load() > 0 && time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
		runtime.GC()
	}
	require.Zero(t, n.args.Load(), "args")
	require.Zero(t, n.replies.Load(), "replies")
}

// Loader takes a load and returns one.
type Loader struct{}

func (Loader) Load(in Load, out *Load) error {
	out.Bytes = []byte("x")
	return nil
}
