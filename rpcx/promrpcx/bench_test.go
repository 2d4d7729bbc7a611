package promrpcx_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/instant"
	"resilientrpc/rpcx/promrpcx"
)

// BenchmarkCall is what metrics add to a call, beside what hooks that do nothing do.
func BenchmarkCall(b *testing.B) {
	b.Run("idle", func(b *testing.B) {
		instant.Extra(b, &rpcx.ClientTrace{
			CallDone:    func(context.Context, rpcx.CallInfo) {},
			AttemptDone: func(context.Context, rpcx.AttemptInfo) {},
		})
	})
	b.Run("metrics", func(b *testing.B) { instant.Extra(b, promrpcx.New().Hooks()) })
}

func TestMetricsAllocateNothing(t *testing.T) {
	require.Zero(t, instant.ExtraAllocs(t, promrpcx.New().Hooks()))
}

// BenchmarkCollect is one scrape of a client with many endpoints, without the text.
func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			m := promrpcx.New()
			addrs := make([]string, n)
			for i := range addrs {
				addrs[i] = fmt.Sprintf("10.%d.%d.%d:1234", i>>16, i>>8&255, i&255)
			}
			d := rpcx.Dialer{Codec: instant.NewCodec, NetDial: instant.Dial, Trace: m.Hooks(), Heartbeat: -1}
			c, err := d.Dial("tcp", addrs...)
			require.NoError(b, err)
			defer c.Close()
			m.Watch(c)
			r := prometheus.NewRegistry()
			r.MustRegister(m)
			b.ReportAllocs()
			for b.Loop() {
				families, err := r.Gather()
				require.NoError(b, err)
				require.Greater(b, len(families), 8)
			}
		})
	}
}
