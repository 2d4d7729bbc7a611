package rpcx_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// callBytes are those of one call on a connection in use.
type callBytes struct{ request, reply int }

// bytesOf returns the fewest bytes of several calls: pings and the server's clock come
// now and then.
func bytesOf(t *testing.T, ctx context.Context, c *rpcx.Client) callBytes { //nolint:revive // the test comes first
	t.Helper()
	least := callBytes{1 << 30, 1 << 30}
	for range 12 { // from then on the numbers of requests have two digits
		require.NoError(t, c.CallContext(ctx, "Knowing.Same", &Question{}, new(bool)))
	}
	for range 12 {
		before := c.Stats().Endpoints[0]
		require.NoError(t, c.CallContext(ctx, "Knowing.Same", &Question{}, new(bool)))
		after := c.Stats().Endpoints[0]
		least.request = min(least.request, int(after.BytesWritten-before.BytesWritten))
		least.reply = min(least.reply, int(after.BytesRead-before.BytesRead))
	}
	return least
}

// metaBytes are the bytes that metadata add to a call, in gob and in JSON.
var metaBytes = map[bool]map[string]callBytes{
	false: {"nothing": {0, 2}, "kept": {2, 2}, "deadline": {6, 2}, "trace": {27, 2}, "both": {33, 2}},
	true:  {"nothing": {0, 0}, "kept": {20, 21}, "deadline": {29, 21}, "trace": {81, 21}, "both": {101, 21}},
}

// What metadata cost on the wire, once a connection is in use. The documentation has
// these numbers.
func TestBytesOfMetadata(t *testing.T) {
	t.Parallel()
	trace := rpcx.Trace{TraceID: [16]byte{1, 15: 1}, SpanID: [8]byte{1, 7: 1}, Flags: 1}
	for _, json := range []bool{false, true} {
		toStock, toServe := peers{json, true, false}, peers{json, true, true}
		_, addr := toStock.start(t)
		stock := toStock.ourClient(t, addr)
		defer stock.Close()
		_, addr = toServe.start(t)

		idempotent := rpcx.WithIdempotent(t.Context()) // so that no answer is kept
		ctx, cancel := context.WithTimeout(idempotent, time.Minute)
		defer cancel()
		plain := bytesOf(t, t.Context(), stock)
		for name, ctx := range map[string]context.Context{
			"nothing": idempotent, "kept": t.Context(), "deadline": ctx,
			"trace": rpcx.WithTrace(idempotent, trace), "both": rpcx.WithTrace(ctx, trace),
		} {
			c := toServe.ourClient(t, addr) // whose numbers are as long as the other's
			got := bytesOf(t, ctx, c)
			require.NoError(t, c.Close())
			want := metaBytes[json][name]
			request, reply := got.request-plain.request, got.reply-plain.reply
			// The number of a request, the deadline and the server's clock grow with the age of
			// the connection.
			if name == "nothing" || name == "trace" {
				require.Equal(t, want.request, request, name)
			} else {
				require.InDelta(t, want.request, request, 3, name)
			}
			if name == "nothing" {
				require.Equal(t, want.reply, reply, name)
			} else {
				require.InDelta(t, want.reply, reply, 2, name)
			}
		}
	}
}
