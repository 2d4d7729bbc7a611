package codec_test

import (
	"io"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// Answers without an id, of both kinds and in both spellings.
var anonymous = map[string]string{
	"error, null id":   `{"jsonrpc":"2.0","error":{"code":-32601,"message":"no such method"},"id":null}`,
	"error, no id":     `{"jsonrpc":"2.0","error":{"code":-32601,"message":"no such method"}}`,
	"error string":     `{"id":null,"result":null,"error":"no such method"}`,
	"result, null id":  `{"id":null,"result":5,"error":null}`,
	"result, no id":    `{"jsonrpc":"2.0","result":5}`,
	"null result":      `{"id":null,"result":null,"error":null}`,
	"malformed error":  `{"error":{"code":1,"message":"\x"},"id":null}`,
	"malformed result": `{"result":NaN,"id":null}`,
}

// TestAnswerToANotification: net/rpc/jsonrpc's server replies to notifications. Such a reply
// must not end a call or the connection.
func TestAnswerToANotification(t *testing.T) {
	for name, answer := range anonymous {
		for _, waiting := range []uint64{0, 1, 2} {
			t.Run(name, func(t *testing.T) {
				conn := play([]byte(answer + answer + `{"jsonrpc":"2.0","result":7,"id":1}`))
				c := codec.NewJSON2Client(conn)
				require.NoError(t, c.(codec.Notifier).Notify("Spec.Update", []int{1}))
				for seq := range waiting {
					require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "Echo.Int", Seq: seq + 1}, 1))
				}
				var r rpc.Response
				require.NoError(t, c.ReadResponseHeader(&r))
				require.Equal(t, uint64(1), r.Seq)
				require.Empty(t, r.Error)
				var n int
				require.NoError(t, c.ReadResponseBody(&n))
				require.Equal(t, 7, n)
			})
		}
	}
}

// TestAnswerWithoutAnID: if no notification was sent, an error without an id is the reply
// to the only pending request. With several it ends the stream, and without any it is
// ignored.
func TestAnswerWithoutAnID(t *testing.T) {
	for name, answer := range anonymous {
		for version, client := range jsonVersions {
			t.Run(version+"/"+name, func(t *testing.T) {
				read := func(waiting uint64) (rpc.ClientCodec, error) {
					c := sent(t, client, waiting, answer+`{"id":9,"result":7}`)
					return c, c.ReadResponseHeader(new(rpc.Response))
				}
				_, err := read(2)
				require.Error(t, err)
				require.NotErrorIs(t, err, io.EOF)

				c, err := read(0)
				require.NoError(t, err, "passed over")
				var n int
				require.NoError(t, c.ReadResponseBody(&n))
				require.Equal(t, 7, n)

				_, err = read(1)
				if strings.Contains(name, "error") {
					require.NoError(t, err)
				} else {
					require.Error(t, err, "a result without an id")
				}
			})
		}
	}
}

// TestUnsentNotification: a notification that cannot be encoded gets no reply.
func TestUnsentNotification(t *testing.T) {
	c := sent(t, codec.NewJSON2Client, 1, `{"error":{"code":-32700,"message":"what?"},"id":null}`)
	require.Error(t, c.(codec.Notifier).Notify("Spec.Update", make(chan int)))
	var r rpc.Response
	require.NoError(t, c.ReadResponseHeader(&r))
	require.Equal(t, "what?", r.Error)
	require.Equal(t, uint64(1), r.Seq)
}

// TestNotifyAServerThatAnswers is the same over sockets, with the answers of net/rpc's
// own JSON server.
func TestNotifyAServerThatAnswers(t *testing.T) {
	for name, client := range map[string]func(io.ReadWriteCloser) rpc.ClientCodec{
		"json": codec.NewJSONClient, "json2": codec.NewJSON2Client,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := tcpPipe(t)
			c := client(a)
			s := join(t, a, b, func(io.ReadWriteCloser) *rpc.Client { return rpc.NewClientWithCodec(c) }, jsonFormat.stockServer)
			slow := s.Go("Echo.Wait", "go on", new(string), nil)
			for range 3 {
				require.NoError(t, c.(codec.Notifier).Notify("Echo.Int", 1))
				require.NoError(t, c.(codec.Notifier).Notify("Echo.Fail", "failed"))
				require.NoError(t, c.(codec.Notifier).Notify("Echo.Nope", 1))
				var n int
				require.NoError(t, s.Call("Echo.Int", 7, &n))
				require.Equal(t, 7, n)
			}
			require.NoError(t, s.Call("Echo.Release", "go on", new(bool)))
			require.NoError(t, (<-slow.Done).Error)
		})
	}
}
