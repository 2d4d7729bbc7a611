package jsonhttp_test

import (
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
)

// TestLiberalReplies: the accepted forms of a reply.
func TestLiberalReplies(t *testing.T) {
	object := &codec.Error{Code: 7, Message: "no"}
	for _, test := range []struct {
		text string
		want error
	}{
		{"\xEF\xBB\xBF" + `{"jsonrpc":"2.0","id":0,"result":5}`, nil},
		{`{"jsonrpc":2.0,"id":0,"result":5}`, nil},
		{`{"jsonrpc":2,"id":"0","result":5}`, nil},
		{`[{"jsonrpc":"2.0","id":0,"result":5}]`, nil},
		{"\xEF\xBB\xBF\n" + ` [ {"result":5} ] `, nil},
		{`[{"id":9,"result":7},{"id":0,"result":5}]`, nil},
		{`{"Jsonrpc":"2.0","Id":0,"Result":5}`, nil},
		{`{"JSONRPC":"2.0","ID":0,"RESULT":5,"ERROR":null}`, nil},
		{`{"id":0,"result":5,"error":false}`, nil},
		{`{"id":0,"result":5,"error":""}`, nil},
		{`{"id":0,"result":5,"error":null,"Result":6}`, nil},
		{`{"result":5}`, nil},
		{`{"id":8,"result":5,"id":0}`, nil},
		{`{"id":0,"result":5,"id":8}`, nil},
		{`{"id":null,"result":5}`, nil},
		{`{"id":0,"Error":{"code":7,"message":"no"}}`, object},
		{`[{"id":null,"error":{"code":7,"message":"no"}}]`, object},
		{`{"jsonrpc":2.0,"id":0,"result":null,"error":{"code":7,"message":"no"}}`, object},
		{"  \n" + `{"error":{"code":7,"message":"no"},"id":null}` + "\n", object},
	} {
		text, want := test.text, test.want
		c, _ := start(t, respond(200, text), jsonhttp.Config{})
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1))
		var r rpc.Response
		require.NoError(t, c.ReadResponseHeader(&r))
		require.Equal(t, want, c.(codec.ErrorReader).ReadError(), text)
		if want == nil {
			var n int
			require.NoError(t, c.ReadResponseBody(&n), text)
			require.Equal(t, 5, n, text)
		}
	}
}

// TestUnusableReply: if a reply cannot be decoded, its call has run and fails.
func TestUnusableReply(t *testing.T) {
	for text, want := range map[string]string{
		`{"jsonrpc":"2.0","id":0,"result":NaN}`:                 "invalid character 'N'",
		`{"jsonrpc":"2.0","id":0,"result":"C:\dir"}`:            "invalid character 'd' in string escape code",
		`{"jsonrpc":"2.0","id":0,"result":007}`:                 "invalid character '0'",
		`{"jsonrpc":"2.0","id":0,"result":[1`:                   "unexpected end of JSON input",
		`{"id":0,"result":"` + strings.Repeat("x", 1000) + `"}`: "jsonhttp: the reply is larger than 1000 bytes, Config.MaxFrame",
	} {
		c, _ := start(t, respond(200, text), jsonhttp.Config{MaxFrame: 1000})
		end := fails(t, c, 0, "A.B")
		require.ErrorAs(t, end, new(*codec.DecodeError))
		require.ErrorContains(t, end, want)
		require.NotEqual(t, codec.NoAnswer, end.Answer)
	}
}
