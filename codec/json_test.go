package codec_test

import (
	"io"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// jsonVersions are both client codecs for JSON-RPC.
var jsonVersions = map[string]func(io.ReadWriteCloser) rpc.ClientCodec{
	"1.0": codec.NewJSONClient,
	"2.0": codec.NewJSON2Client,
}

// sent returns a client codec that has sent the requests 1 to n and then reads
// the given replies.
func sent(t *testing.T, client func(io.ReadWriteCloser) rpc.ClientCodec, n uint64, replies string) rpc.ClientCodec {
	c := client(play([]byte(replies)))
	for seq := uint64(1); seq <= n; seq++ {
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "Echo.Int", Seq: seq}, 1))
	}
	return c
}

// TestJSONReplies has replies of real peers. Most of them end the stock codec's connection.
func TestJSONReplies(t *testing.T) {
	const object = `{"code":-32000,"message":"it failed","data":{"why":[1]}}`
	tests := map[string]struct {
		reply  string
		seq    uint64
		result int
		errmsg string // of the header
		fails  string // what the body's *DecodeError says
		only   string // version
	}{
		"result":               {reply: `{"id":1,"result":5,"error":null}`, seq: 1, result: 5},
		"no error member":      {reply: `{"id":1,"result":5}`, seq: 1, result: 5},
		"version 2.0":          {reply: `{"jsonrpc":"2.0","result":5,"id":1}`, seq: 1, result: 5},
		"string id":            {reply: `{"id":"2","result":5}`, seq: 2, result: 5},
		"float id":             {reply: `{"id":2.0,"result":5}`, seq: 2, result: 5},
		"pretty-printed":       {reply: "\r\n{\n\t\"id\" : 1 ,\n\t\"result\" :\n 5\n}\n\n", seq: 1, result: 5},
		"extra members":        {reply: `{"x":{"id":9},"id":1,"y":["result"],"result":5,"z":"\"}{"}`, seq: 1, result: 5},
		"escaped name":         {reply: `{"\u0069d":1,"result":5}`, seq: 1, result: 5},
		"capitals":             {reply: `{"ID":1,"Result":5}`, seq: 1, result: 5, only: "1.0"},
		"error string":         {reply: `{"id":1,"result":null,"error":"it failed"}`, seq: 1, errmsg: "it failed"},
		"error string, quoted": {reply: `{"id":1,"error":"\"<\u00e9>\""}`, seq: 1, errmsg: `"<é>"`},
		"empty error string":   {reply: `{"id":1,"error":""}`, seq: 1, errmsg: "unspecified error"},
		"error object":         {reply: `{"id":1,"error":` + object + `}`, seq: 1, errmsg: "it failed"},
		"error and result":     {reply: `{"id":1,"result":5,"error":` + object + `}`, seq: 1, errmsg: "it failed"},
		"code alone":           {reply: `{"id":1,"error":{"code":-3}}`, seq: 1, errmsg: "JSON-RPC error -3"},
		"unknown error object": {reply: `{"id":1,"error":{"what":"?"}}`, seq: 1, errmsg: `{"what":"?"}`},
		"error number":         {reply: `{"id":1,"error":17}`, seq: 1, errmsg: "17"},
		"error list":           {reply: `{"id":1,"error":["a","b"]}`, seq: 1, errmsg: `["a","b"]`},
		"error with null id":   {reply: `{"id":null,"error":` + object + `}`, seq: 1, errmsg: "it failed"},
		"error without id":     {reply: `{"error":"it failed"}`, seq: 1, errmsg: "it failed"},
		"nothing":              {reply: `{"id":1,"result":null,"error":null}`, seq: 1, fails: "neither", only: "1.0"},
		"null result":          {reply: `{"id":1,"result":null}`, seq: 1, only: "2.0"},
		"no result":            {reply: `{"id":1}`, seq: 1, fails: "neither"},
		"wrong type":           {reply: `{"id":1,"result":"five"}`, seq: 1, fails: "cannot unmarshal"},
		"a peer's own request": {reply: `{"method":"hello","params":[1]}{"method":"x","id":1}{"id":1,"result":5}`, seq: 1, result: 5},
	}
	for name, test := range tests {
		for version, client := range jsonVersions {
			if test.only != "" && test.only != version {
				continue
			}
			t.Run(version+"/"+name, func(t *testing.T) {
				c := sent(t, client, test.seq, test.reply+`{"id":7,"result":7}`)
				r, result := rpc.Response{Error: "stale"}, 0
				require.NoError(t, c.ReadResponseHeader(&r))
				require.Equal(t, test.seq, r.Seq)
				require.Equal(t, test.errmsg, r.Error)
				require.Equal(t, "Echo.Int", r.ServiceMethod)
				if test.errmsg == "" {
					err := c.ReadResponseBody(&result)
					if test.fails != "" {
						require.ErrorAs(t, err, new(*codec.DecodeError))
						require.ErrorContains(t, err, test.fails)
					} else {
						require.NoError(t, err)
					}
				}
				require.Equal(t, test.result, result)
				// The next one is as it should be.
				require.NoError(t, c.ReadResponseHeader(&r))
				require.Equal(t, uint64(7), r.Seq)
				require.NoError(t, c.ReadResponseBody(&result))
				require.Equal(t, 7, result)
			})
		}
	}
}

// TestJSONEnd: replies whose call is not known end the stream.
func TestJSONEnd(t *testing.T) {
	for name, replies := range map[string]string{
		"not an object":           `5 {"id":1,"result":5}`,
		"not JSON":                `HTTP/1.1 400 Bad Request`,
		"no end of a string":      "{\"id\":1,\"result\":\"x}\n{\"id\":2,\"result\":5}",
		"quote not escaped":       `{"id":1,"result":"say "5" now"}`,
		"foreign quotes":          `{"id":1,"result":'5'}`,
		"comment":                 `{"id":1,"result":5/*}*/}`,
		"wrong bracket":           `{"id":1,"result":5]}`,
		"unending":                `{"id":1,"result":5`,
		"array":                   `[{"id":1,"result":5}]`,
		"result without id":       `{"result":5}`,
		"result with null id":     `{"id":null,"result":5}`,
		"whose error?":            `{"id":null,"error":"it failed"}`,
		"id of no request, as is": `{"id":"one","result":5}`,
	} {
		for version, client := range jsonVersions {
			c := sent(t, client, 2, replies)
			err := c.ReadResponseHeader(new(rpc.Response))
			require.Error(t, err, "%s %s", version, name)
			require.NotEqual(t, io.EOF, err)
			require.Equal(t, err, c.ReadResponseHeader(new(rpc.Response)), "final")
		}
	}
}

// TestJSONSplit reads two replies whose bytes come in two pieces, cut anywhere.
func TestJSONSplit(t *testing.T) {
	both := `{"id":1,"result":{"A":1,"S":"\\\"}{"}}` + "\n" + `{"id":2,"result":{"A":2}}`
	for cut := range both {
		for version, client := range jsonVersions {
			conn := play(nil)
			conn.play = io.MultiReader(strings.NewReader(both[:cut]), strings.NewReader(both[cut:]))
			n, err := readAll(client(conn), func(i int, r *rpc.Response) any {
				require.Equal(t, uint64(i+1), r.Seq)
				return new(Plain)
			})
			require.Equal(t, io.EOF, err, "%s cut at %d", version, cut)
			require.Equal(t, 2, n)
		}
	}
}

func TestReadError(t *testing.T) {
	read := func(version, reply string) error {
		c := sent(t, jsonVersions[version], 1, reply)
		require.NoError(t, c.ReadResponseHeader(new(rpc.Response)))
		return c.(codec.ErrorReader).ReadError()
	}
	full := &codec.Error{Code: -32000, Message: "it failed", Data: []byte(`{"why":[1]}`)}
	for version := range jsonVersions {
		require.Equal(t, full, read(version, `{"id":1,"error":{"code":-32000,"message":"it failed","data":{"why":[1]}}}`))
		require.Equal(t, &codec.Error{Code: 5, Message: "m"}, read(version, `{"id":1,"error":{"data":null,"message":"m","code":"5"}}`))
		require.Equal(t, &codec.Error{Code: 5, Message: "m"}, read(version, `{"id":1,"error":{"Message":"m","code":5.0}}`))
		require.NoError(t, read(version, `{"id":1,"result":5}`))
	}
	require.NoError(t, read("1.0", `{"id":1,"error":"it failed"}`))
	require.Equal(t, &codec.Error{Message: "it failed"}, read("2.0", `{"id":1,"error":"it failed"}`))
}

// TestJSONUnencodable: nothing of a request that cannot be encoded is sent.
func TestJSONUnencodable(t *testing.T) {
	for version, client := range jsonVersions {
		conn := play(nil)
		c := client(conn)
		for _, arg := range []any{make(chan int), Bad{"error"}, Bad{"panic"}, map[string]any{"f": func() {}}} {
			var encode *codec.EncodeError
			require.ErrorAs(t, c.WriteRequest(&rpc.Request{ServiceMethod: "Echo.Int", Seq: 1}, arg), &encode)
			require.Empty(t, conn.writes, version)
		}
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: `a"\<é`, Seq: 2}, 1))
		require.Len(t, conn.writes, 1)
		require.Contains(t, conn.written.String(), `"a\"\\\u003cé"`)
	}
}

// serve answers what a client would send and returns the answers, one a line.
func serve(t *testing.T, server func(io.ReadWriteCloser) rpc.ServerCodec, requests string) []string {
	conn := play([]byte(requests))
	newServer().ServeCodec(server(conn))
	require.Equal(t, 1, conn.closed)
	return strings.Split(strings.TrimSuffix(conn.written.String(), "\n"), "\n")
}

// TestJSONServerRequests has requests that the stock server answers and others that it does
// not.
func TestJSONServerRequests(t *testing.T) {
	for request, want := range map[string]string{
		`{"method":"Echo.Int","params":[5],"id":1}`:               `{"id":1,"result":5,"error":null}`,
		`{"method":"Echo.Int","params":[5,6],"id":"<x> y"}`:       `{"id":"\u003cx\u003e y","result":5,"error":null}`,
		`{"method":"Echo.Int","params":[5],"id":[1, {"a": 2}]}`:   `{"id":[1,{"a":2}],"result":5,"error":null}`,
		`{"method":"Echo.Int","params":[5],"id":null}`:            `{"id":null,"result":5,"error":null}`,
		`{"method":"Echo.Int","params":[5]}`:                      `{"id":null,"result":5,"error":null}`,
		`{"Method":"Echo.Int","PARAMS":[5],"iD":1,"x":[]}`:        `{"id":1,"result":5,"error":null}`,
		`{"method":"Echo.Int","params":[],"id":1}`:                `{"id":1,"result":0,"error":null}`,
		`{"method":"Echo.Int","id":1}`:                            `{"id":1,"result":null,"error":"jsonrpc: request body missing params"}`,
		`{"method":"Echo.Int","params":null,"id":1}`:              `{"id":1,"result":null,"error":"jsonrpc: request body missing params"}`,
		`{"method":"Echo.Int","params":{"A":1},"id":1}`:           `{"id":1,"result":null,"error":"json: cannot unmarshal object into Go value of type [1]interface {}"}`,
		`{"method":"Echo.Nope","params":[1],"id":1}`:              `{"id":1,"result":null,"error":"rpc: can't find method Echo.Nope"}`,
		`{"method":"","params":[1],"id":1}`:                       `{"id":1,"result":null,"error":"rpc: service/method request ill-formed: "}`,
		`{"method":"Echo.Fail","params":["\"failed\""],"id":1.5}`: `{"id":1.5,"result":null,"error":"\"failed\""}`,
	} {
		conn := play([]byte(request))
		jsonFormat.stockServer(newServer(), conn)
		require.Equal(t, want+"\n", conn.written.String(), "the stock server")
		require.Equal(t, []string{want}, serve(t, codec.NewJSONServer, request))
	}
	// The stock server hangs up at these.
	for _, request := range []string{`{"method":5,"params":[5],"id":1}`, `{"method":{},"id":1}`} {
		got := serve(t, codec.NewJSONServer, request+`{"method":"Echo.Int","params":[5],"id":2}`)
		require.ElementsMatch(t, []string{
			`{"id":1,"result":null,"error":"rpc: service/method request ill-formed: "}`,
			`{"id":2,"result":5,"error":null}`,
		}, got)
	}
}
