package codec_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/rpc"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// trickle is a connection whose bytes arrive in pieces. While it is shut, reads fail the
// test.
type trickle struct {
	io.Writer
	rest  []byte
	piece func() int
	shut  bool
}

var errShut = errors.New("it would have waited")

func (c *trickle) Read(p []byte) (int, error) {
	switch {
	case c.shut:
		return 0, errShut
	case len(c.rest) == 0:
		return 0, io.EOF
	}
	n := copy(p, c.rest[:min(c.piece(), len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

func (c *trickle) Close() error { return nil }

// However the bytes arrive, a reply reported by HasReply can be read without waiting. For
// plain types HasReply reports every reply that has arrived completely.
func TestPrefetchedRepliesAreReadWithoutAWait(t *testing.T) {
	type reply struct {
		Text string
		List []int
	}
	for name, c := range map[string]struct {
		client func(io.ReadWriteCloser) rpc.ClientCodec
		server func(io.ReadWriteCloser) rpc.ServerCodec
	}{
		"gob":   {codec.NewGobClient, codec.NewGobServer},
		"json":  {codec.NewJSONClient, codec.NewJSONServer},
		"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(6) {
				random := rand.New(rand.NewPCG(seed, 0))
				const replies = 20
				wire := new(inMemory)
				client := c.client(wire)
				server := c.server(wire)
				var requests [replies]rpc.Request
				for seq := range uint64(replies) {
					require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: seq}, 1))
					require.NoError(t, server.ReadRequestHeader(&requests[seq]))
					require.NoError(t, server.ReadRequestBody(nil))
				}
				for _, r := range requests {
					body := reply{strings.Repeat("é\n", random.IntN(3000)), make([]int, random.IntN(5))}
					require.NoError(t, server.WriteResponse(&rpc.Response{ServiceMethod: r.ServiceMethod, Seq: r.Seq}, body))
				}
				largest := 1 + random.IntN(5000)
				conn := &trickle{Writer: io.Discard, rest: wire.Bytes(), piece: func() int { return 1 + random.IntN(largest) }}
				client = c.client(conn)
				for seq := range uint64(replies) {
					require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: seq}, 1))
				}
				unsure := 0
				for seq := range uint64(replies) {
					ahead := client.(codec.Prefetcher)
					has, certain := ahead.HasReply()
					for ; !has && certain; has, certain = ahead.HasReply() {
						require.NoError(t, ahead.Prefetch())
					}
					if !certain {
						unsure++ // the types are new to it
					}
					conn.shut = has
					var r rpc.Response
					var body reply
					require.NoError(t, client.ReadResponseHeader(&r))
					require.NoError(t, client.ReadResponseBody(&body))
					require.Equal(t, seq, r.Seq)
					conn.shut = false
				}
				require.LessOrEqual(t, unsure, 1)
				require.False(t, client.(codec.Prefetcher).ReadAhead())
			}
		})
	}
}

// A message that is no reply is ignored, and the next one may arrive much later.
func TestARequestOfThePeerIsNoPrefetchedReply(t *testing.T) {
	for message, partial := range map[string]bool{
		`{"jsonrpc":"2.0","method":"progress","params":[1]}`: false,
		`{"METHOD":"progress","params":[1]}`:                 false,
		`{"\u006dethod":"progress","params":[1]}`:            false,
		"\ufeff" + `{"id":1,"result":1}`:                     false,
		`{"id":1,"result":`:                                  true,
		" \n":                                                true,
	} {
		conn := &trickle{Writer: io.Discard, rest: []byte(message), piece: func() int { return 1000 }}
		ahead := codec.NewJSONClient(conn).(codec.Prefetcher)
		require.NoError(t, ahead.Prefetch())
		has, certain := ahead.HasReply()
		require.False(t, has, message)
		require.Equal(t, partial, certain, message)
	}
}

// HasReply never returns false with certainty for a reply that has arrived.
func TestNoWaitForAReplyThatIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		client func(io.ReadWriteCloser) rpc.ClientCodec
		server func(io.ReadWriteCloser) rpc.ServerCodec
	}{
		"gob":   {codec.NewGobClient, codec.NewGobServer},
		"json":  {codec.NewJSONClient, codec.NewJSONServer},
		"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
	} {
		for _, body := range []any{
			1, "method", struct{ Method string }{"x"}, map[string]int{"method": 1}, map[int]string{}, struct{ Any any }{7}, []map[string]int{{"x": 1}},
		} {
			wire := new(inMemory)
			client, server := c.client(wire), c.server(wire)
			var request rpc.Request
			require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1))
			require.NoError(t, server.ReadRequestHeader(&request))
			require.NoError(t, server.ReadRequestBody(nil))
			require.NoError(t, server.WriteResponse(&rpc.Response{ServiceMethod: "A.B", Seq: request.Seq}, body))
			require.NoError(t, client.(codec.Prefetcher).Prefetch())
			has, certain := client.(codec.Prefetcher).HasReply()
			require.True(t, has || !certain, "%s: %#v", name, body)
			var r rpc.Response
			require.NoError(t, client.ReadResponseHeader(&r))
			require.NoError(t, client.ReadResponseBody(reflect.New(reflect.TypeOf(body)).Interface()))
		}
	}
}
