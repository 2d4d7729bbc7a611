package codec_test

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// The types of the values in keepable. Each is defined before its first value, and one in an
// interface within the value.
type (
	keptText  struct{ Text string }
	keptTable struct{ Table map[string][]int }
	keptAny   struct{ Any any }
	keptPoint struct{ X, Y int }
	keptName  struct{ Name string }
)

func init() {
	gob.Register(keptPoint{})
	gob.Register(keptName{})
}

// rawPair makes a client codec and the server codec that writes its replies.
type rawPair struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	server func(io.ReadWriteCloser) rpc.ServerCodec
}

var rawPairs = map[string]rawPair{
	"gob":   {codec.NewGobClient, codec.NewGobServer},
	"json":  {codec.NewJSONClient, codec.NewJSONServer},
	"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
}

// replies returns a client that reads replies with the given bodies.
func (p rawPair) replies(t *testing.T, bodies []any) rpc.ClientCodec {
	t.Helper()
	wire := new(inMemory)
	client, server := p.client(wire), p.server(wire)
	requests := make([]rpc.Request, len(bodies))
	for seq := range requests {
		require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: uint64(seq)}, 1))
		require.NoError(t, server.ReadRequestHeader(&requests[seq]))
		require.NoError(t, server.ReadRequestBody(nil))
	}
	for i, r := range requests {
		require.NoError(t, server.WriteResponse(&rpc.Response{ServiceMethod: r.ServiceMethod, Seq: r.Seq}, bodies[i]))
	}
	return client
}

// RawReplies are decoded in any order, among other replies, with the same result as if they
// were decoded at once.
func TestRawRepliesInAnyOrder(t *testing.T) {
	for name, pair := range rawPairs {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(30) {
				random := rand.New(rand.NewPCG(seed, 1))
				bodies := make([]any, 30)
				for i := range bodies {
					bodies[i] = keepable(random, name, i)
				}
				client := pair.replies(t, bodies)
				var kept [30]codec.RawReply
				for i, body := range bodies {
					var r rpc.Response
					require.NoError(t, client.ReadResponseHeader(&r))
					switch random.IntN(4) {
					case 0:
						require.NoError(t, client.ReadResponseBody(nil))
						bodies[i] = nil
					case 1:
						got := pointerLike(body)
						require.NoError(t, client.ReadResponseBody(got))
						require.Equal(t, body, pointedTo(got))
						bodies[i] = nil
					default:
						require.NoError(t, client.ReadResponseBody(&kept[i]))
					}
				}
				for _, i := range random.Perm(len(bodies)) {
					if bodies[i] == nil {
						continue
					}
					for range 2 {
						got := pointerLike(bodies[i])
						require.NoError(t, kept[i].Decode(got), "seed %d, reply %d", seed, i)
						require.Equal(t, bodies[i], pointedTo(got))
					}
				}
			}
		})
	}
}

func keepable(random *rand.Rand, name string, n int) any {
	switch random.IntN(4) {
	case 0:
		return keptTable{map[string][]int{"x": {n}}}
	case 1:
		if name != "gob" {
			return keptAny{fmt.Sprint(n)}
		}
		return keptAny{[]any{keptPoint{n, n}, keptName{"n"}}[random.IntN(2)]}
	case 2:
		return n
	}
	return keptText{strings.Repeat("x", random.IntN(1000))}
}

func pointerLike(v any) any {
	switch v.(type) {
	case keptTable:
		return new(keptTable)
	case keptAny:
		return new(keptAny)
	case int:
		return new(int)
	}
	return new(keptText)
}

func pointedTo(p any) any {
	switch p := p.(type) {
	case *keptTable:
		return *p
	case *keptAny:
		return *p
	case *int:
		return *p
	case *keptText:
		return *p
	}
	return nil
}

// A RawReply that cannot be decoded, or is decoded into a value that is not empty, does not
// affect others.
func TestRawRepliesFailAlone(t *testing.T) {
	for name, pair := range rawPairs {
		t.Run(name, func(t *testing.T) {
			client := pair.replies(t, []any{keptText{"a"}, keptText{"b"}})
			var kept [2]codec.RawReply
			for i := range kept {
				var r rpc.Response
				require.NoError(t, client.ReadResponseHeader(&r))
				require.NoError(t, client.ReadResponseBody(&kept[i]))
			}
			for range 2 {
				require.ErrorAs(t, kept[0].Decode(new(int)), new(*codec.DecodeError))
				got := struct {
					Text string
					More int
				}{"old", 7}
				require.NoError(t, kept[1].Decode(&got))
				require.Equal(t, "b", got.Text)
				require.Equal(t, 7, got.More)
			}
			require.NoError(t, kept[0].Decode(nil))
		})
	}
	n := 5
	require.NoError(t, new(codec.RawReply).Decode(&n))
	require.Equal(t, 5, n)
}

// If a reply certainly cannot be decoded, ReadResponseBody returns the error at once.
func TestRawReplyOfNothing(t *testing.T) {
	for text, version2 := range map[string]bool{
		`{"id":0,"result":null,"error":null}`: false,
		`{"id":0,"jsonrpc":"2.0"}`:            true,
		`{"id":0,"result":{"a":}}`:            false,
	} {
		client := codec.NewJSONClient(play([]byte(text)))
		if version2 {
			client = codec.NewJSON2Client(play([]byte(text)))
		}
		require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1))
		var r rpc.Response
		require.NoError(t, client.ReadResponseHeader(&r))
		var decode *codec.DecodeError
		require.True(t, errors.As(client.ReadResponseBody(new(codec.RawReply)), &decode), text)
	}
}
