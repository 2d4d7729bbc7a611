package codec_test

import (
	"io"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// The error of a server of the other version says which codec it needs, beside the server's
// own message. Other errors are the server's words alone.
func TestErrorOfTheOtherVersionHasAHint(t *testing.T) {
	const (
		use1     = "; if the server speaks JSON-RPC 1.0, use codec.JSON2{Wrap: true}.NewClient"
		use2     = "; if the server speaks JSON-RPC 2.0, use codec.NewJSON2Client"
		noArray  = `"json: cannot unmarshal object into Go value of type [1]interface {}"` // net/rpc/jsonrpc's
		no2      = `{"code":-32600,"message":"no 2.0"}`
		notFound = `{"code":-32601,"message":"not found"}`
	)
	wrapped := func(c io.ReadWriteCloser) rpc.ClientCodec { return codec.JSON2{Wrap: true}.NewClient(c) }
	for _, c := range []struct {
		client        func(io.ReadWriteCloser) rpc.ClientCodec
		failure, hint string
	}{
		{codec.NewJSON2Client, noArray, use1},
		{codec.NewJSON2Client, `"divide by zero"`, ""},
		{codec.NewJSON2Client, `{"code":-32602,"message":"json: cannot unmarshal it"}`, ""},
		{codec.NewJSON2Client, no2, ""},
		{wrapped, noArray, ""},
		{codec.NewJSONClient, no2, use2},
		{codec.NewJSONClient, notFound, ""},
		{codec.NewJSONClient, noArray, ""},
	} {
		client := c.client(play([]byte(`{"id":0,"result":null,"error":` + c.failure + `}`)))
		require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1))
		var r rpc.Response
		require.NoError(t, client.ReadResponseHeader(&r))
		if c.hint == "" {
			require.NotContains(t, r.Error, "; if the server speaks", c.failure)
			continue
		}
		require.Contains(t, r.Error, c.hint)
		var e *codec.Error
		require.ErrorAs(t, client.(codec.ErrorReader).ReadError(), &e)
		require.Equal(t, r.Error, e.Error())
		require.Equal(t, r.Error, e.Message+c.hint)
	}
}
