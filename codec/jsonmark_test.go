package codec_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// refusedReply is what a JSON server codec sends when it refuses the request.
func refusedReply(t *testing.T, server func(io.ReadWriteCloser) rpc.ServerCodec, request string) string {
	t.Helper()
	conn := play([]byte(request))
	s := server(conn)
	var r rpc.Request
	require.NoError(t, s.ReadRequestHeader(&r))
	require.NoError(t, s.ReadRequestBody(nil))
	require.NoError(t, s.(codec.Refuser).Refuse(&rpc.Response{Seq: r.Seq, Error: "not now"}))
	return conn.written.String()
}

// isRefused reports whether a client takes the last of the replies for a refusal.
func isRefused(t *testing.T, client func(io.ReadWriteCloser) rpc.ClientCodec, replies string) bool {
	t.Helper()
	conn := play(nil)
	conn.play = iotest.OneByteReader(strings.NewReader(replies)) // marks come in pieces, too
	c := client(conn)
	refused := false
	for {
		var r rpc.Response
		if err := c.ReadResponseHeader(&r); err != nil {
			require.ErrorIs(t, err, io.EOF)
			return refused
		}
		refused = c.(codec.RefusalReader).Refused()
		require.True(t, !refused || r.Error == "not now", "%+v", r)
		require.NoError(t, c.ReadResponseBody(nil))
	}
}

func TestRefusalMark(t *testing.T) {
	for name, c := range map[string]struct {
		server        func(io.ReadWriteCloser) rpc.ServerCodec
		client        func(io.ReadWriteCloser) rpc.ClientCodec
		request, fine string
	}{
		"json":  {codec.NewJSONServer, codec.NewJSONClient, `{"method":"A.B","params":[1],"id":12}`, `{"id":11,"result":1,"error":null}`},
		"json2": {codec.NewJSON2Server, codec.NewJSON2Client, `{"jsonrpc":"2.0","method":"A.B","params":[1],"id":12}`, `{"jsonrpc":"2.0","result":1,"id":11}`},
	} {
		t.Run(name, func(t *testing.T) {
			reply := refusedReply(t, c.server, c.request)
			require.True(t, isRefused(t, c.client, reply))
			require.True(t, isRefused(t, c.client, c.fine+"\n"+reply))
			mark, object := reply[:64], reply[64:]
			require.Equal(t, byte('{'), object[0])
			require.Empty(t, strings.TrimSpace(mark))
			var tidy bytes.Buffer
			require.NoError(t, json.Indent(&tidy, []byte(reply), "", "\t"))
			for what, other := range map[string]string{
				"encoded again":        object,
				"formatted again":      tidy.String(),
				"with another id":      strings.Replace(reply, "12", "13", 1),
				"behind another reply": mark + c.fine + object,
				"far away":             mark + "\n" + object,
				"indented":             strings.Repeat(" ", 64) + object,
				"with more before":     " " + reply,
				"no error":             mark + strings.Replace(c.fine, "11", "12", 1),
			} {
				require.False(t, isRefused(t, c.client, other), what)
			}
		})
	}
	// A stock client does not notice.
	stock := jsonrpc.NewClientCodec(play([]byte(refusedReply(t, codec.NewJSONServer, `{"method":"A.B","params":[1],"id":0}`))))
	var r rpc.Response
	require.NoError(t, stock.ReadResponseHeader(&r))
	require.Equal(t, "not now", r.Error)
}

// In a batch, a refusal is an error like any other.
func TestRefusalInABatchHasNoMark(t *testing.T) {
	reply := refusedReply(t, codec.NewJSON2Server, `[{"jsonrpc":"2.0","method":"A.B","id":12}]`)
	require.True(t, strings.HasPrefix(reply, `[{"jsonrpc"`), reply)
}
