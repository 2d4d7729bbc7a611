package rpcx_test

import (
	"context"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/instant"
)

// BenchmarkLayer is what the client itself costs, beside net/rpc's, over a codec
// that costs nothing.
func BenchmarkLayer(b *testing.B) {
	d := rpcx.Dialer{Codec: instant.NewCodec, NetDial: instant.Dial}
	hedging := rpcx.Dialer{
		Codec: instant.NewCodec, NetDial: instant.Dial,
		Methods: idempotent("*"), Hedge: &rpcx.Hedge{Delay: time.Second},
	}
	for _, c := range []struct {
		name string
		dial func() (caller, error)
	}{
		{"netrpc", func() (caller, error) { return rpc.NewClientWithCodec(instant.NewCodec(nil)), nil }},
		{"rpcx", func() (caller, error) { return d.Dial("tcp", "a:1") }},
		{"rpcx/3replicas", func() (caller, error) { return d.Dial("tcp", "a:1", "b:1", "c:1") }},
		{"rpcx/3replicas/hedging", func() (caller, error) { return hedging.Dial("tcp", "a:1", "b:1", "c:1") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			client, err := c.dial()
			require.NoError(b, err)
			defer client.Close()
			b.ReportAllocs()
			for b.Loop() {
				var reply int
				if err := client.Call("Service.Method", 1, &reply); err != nil || reply != 42 {
					b.Fatal(reply, err)
				}
			}
		})
	}
}

// idleHooks is a trace whose hooks of a call do nothing.
func idleHooks() *rpcx.ClientTrace {
	return &rpcx.ClientTrace{
		CallStart:    func(ctx context.Context, _ rpcx.CallInfo) context.Context { return ctx },
		CallDone:     func(context.Context, rpcx.CallInfo) {},
		AttemptStart: func(ctx context.Context, _ rpcx.AttemptInfo) context.Context { return ctx },
		AttemptDone:  func(context.Context, rpcx.AttemptInfo) {},
		Pick:         func(context.Context, rpcx.PickInfo) {},
	}
}

// BenchmarkTrace reports what hooks add to a call: no hooks, hooks that do nothing, and two
// such sets joined.
func BenchmarkTrace(b *testing.B) {
	b.Run("nil", func(b *testing.B) { instant.Extra(b, &rpcx.ClientTrace{}) })
	b.Run("idle", func(b *testing.B) { instant.Extra(b, idleHooks()) })
	b.Run("joined", func(b *testing.B) { instant.Extra(b, idleHooks().Join(idleHooks())) })
}

// Hooks allocate nothing, there or not.
func TestHooksAllocateNothing(t *testing.T) {
	require.Zero(t, instant.ExtraAllocs(t, &rpcx.ClientTrace{}))
	require.Zero(t, instant.ExtraAllocs(t, idleHooks().Join(idleHooks())))
}
