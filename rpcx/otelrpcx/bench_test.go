package otelrpcx_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/instant"
	"resilientrpc/rpcx/otelrpcx"
)

// BenchmarkCall is what spans and metrics add to a call, beside the SDK's own price of
// one measurement.
func BenchmarkCall(b *testing.B) {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	b.Run("sdk", func(b *testing.B) {
		h, err := meters.Meter("bare").Float64Histogram("bare")
		require.NoError(b, err)
		set := attribute.NewSet(attribute.String("rpc.system.name", "go_net_rpc"), attribute.String("rpc.method", "Service.Method"))
		options := []metric.RecordOption{metric.WithAttributeSet(set)}
		instant.Extra(b, &rpcx.ClientTrace{CallDone: func(ctx context.Context, i rpcx.CallInfo) {
			h.Record(ctx, i.Duration.Seconds(), options...)
		}})
	})
	for _, c := range []struct {
		name string
		cfg  otelrpcx.Config
	}{
		{"off", otelrpcx.Config{TracerProvider: nooptrace.NewTracerProvider(), MeterProvider: noopmetric.NewMeterProvider()}},
		{"metrics", otelrpcx.Config{TracerProvider: nooptrace.NewTracerProvider(), MeterProvider: meters}},
		{"unsampled", otelrpcx.Config{
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())),
			MeterProvider:  noopmetric.NewMeterProvider(),
		}},
		{"spans", otelrpcx.Config{
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample())),
			MeterProvider:  noopmetric.NewMeterProvider(),
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			hooks, err := otelrpcx.New(c.cfg)
			require.NoError(b, err)
			instant.Extra(b, hooks)
		})
	}
}

func TestMetricsAllocateNothing(t *testing.T) {
	hooks, err := otelrpcx.New(otelrpcx.Config{
		TracerProvider: nooptrace.NewTracerProvider(),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
	})
	require.NoError(t, err)
	require.Zero(t, instant.ExtraAllocs(t, hooks))
}
