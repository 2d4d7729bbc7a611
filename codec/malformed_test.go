package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// TestMalformedReply: if a reply has a syntax error, but its end and id are certain, its
// call gets json's error, and the next reply is read.
func TestMalformedReply(t *testing.T) {
	deep := strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)
	for name, reply := range map[string]string{
		"NaN":                  `{"id":1,"result":NaN}`,
		"-Infinity":            `{"id":1,"result":{"A":-Infinity}}`,
		"nan(ind)":             `{"id":1,"result":-nan(ind)}`,
		"1.#INF":               `{"id":1,"result":1.#INF}`,
		"leading zeros":        `{"id":1,"result":007}`,
		"leading plus":         `{"id":1,"result":+7}`,
		"leading point":        `{"id":1,"result":.7}`,
		"hexadecimal":          `{"id":1,"result":0x7}`,
		"decimal comma":        `{"id":1,"result":3,14}`,
		"control character":    "{\"id\":1,\"result\":\"a\x01b\"}",
		"tab":                  "{\"id\":1,\"result\":\"a\tb\"}",
		"newline":              "{\"id\":1,\"result\":\"a\nb\"}",
		"newlines":             "{\"id\":1,\"result\":\"\r\n\r\n\"}",
		"newline and brackets": "{\"id\":1,\"result\":\"}\n]{\"}",
		"bad escape":           `{"id":1,"result":"C:\dir"}`,
		"bad escapes":          `{"id":1,"result":"C:\dir\x07\u12g4"}`,
		"lone surrogate bytes": "{\"id\":1,\"result\":[\"\xed\xa0\x80\xff\",]}",
		"too deep":             `{"id":1,"result":` + deep + `}`,
		"no value":             `{"id":1,"result":}`,
		"comma too many":       `{"id":1,"result":5,}`,
		"comma in an array":    `{"id":1,"result":[1,2,]}`,
		"Python's words":       `{"id":1,"result":None,"error":False}`,
		"undefined":            `{"id":1,"result":undefined}`,
		"bare names":           `{id:1,result:5}`,
		"id behind it":         `{"result":NaN,"id":1}`,
		"string id behind it":  `{"result":"C:\dir","id":"1"}`,
		"float id":             `{"result":"C:\dir","id":1.0}`,
		"same id twice":        `{"id":1,"result":NaN,"id":1}`,
		"id in the value":      `{"result":{"id":2,"x":NaN},"id":1}`,
		"id in a string":       `{"result":"\"id\":2,\x","id":1}`,
		"escaped name":         `{"result":NaN,"\u0069d":1}`,
		"error member":         `{"id":1,"result":null,"error":{"code":NaN,"message":"m"}}`,
		"error text":           `{"id":1,"error":"C:\dir"}`,
		"error data":           "{\"id\":1,\"error\":{\"code\":1,\"message\":\"m\",\"data\":\"\x02\"}}",
		"unknown member":       `{"id":1,"result":5,"took":NaN}`,
		"unknown name":         `{"id":1,"result":5,"\x":1}`,
		"version":              `{"jsonrpc":2.,"id":1,"result":5}`,
		"time":                 `{"id":1,"result":12:30}`,
		"pretty-printed":       "{\n\t\"id\" : 1 ,\n\t\"result\" : NaN\n}\n",
	} {
		for version, client := range jsonVersions {
			t.Run(version+"/"+name, func(t *testing.T) {
				c := sent(t, client, 2, reply+"\n"+`{"id":2,"result":7}`)
				r := rpc.Response{Error: "stale"}
				require.NoError(t, c.ReadResponseHeader(&r))
				require.Equal(t, uint64(1), r.Seq)
				require.Equal(t, "Echo.Int", r.ServiceMethod)
				require.Empty(t, r.Error)
				require.NoError(t, c.(codec.ErrorReader).ReadError())
				err := c.ReadResponseBody(new(json.RawMessage))
				require.ErrorAs(t, err, new(*codec.DecodeError))
				require.ErrorAs(t, err, new(*json.SyntaxError))
				require.EqualError(t, err, json.Unmarshal([]byte(strings.TrimSpace(reply)), new(any)).Error(), "json's own")
				require.NoError(t, c.ReadResponseBody(nil), "discarded")

				var n int
				require.NoError(t, c.ReadResponseHeader(&r))
				require.Equal(t, uint64(2), r.Seq)
				require.NoError(t, c.ReadResponseBody(&n))
				require.Equal(t, 7, n)
			})
		}
	}
}

// TestInvalidUTF8: package json replaces invalid UTF-8.
func TestInvalidUTF8(t *testing.T) {
	for version, client := range jsonVersions {
		c := sent(t, client, 1, "{\"id\":1,\"result\":\"a\xffb\"}")
		require.NoError(t, c.ReadResponseHeader(new(rpc.Response)), version)
		var s string
		require.NoError(t, c.ReadResponseBody(&s))
		require.Equal(t, "a\ufffdb", s)
	}
}

// TestUncertainReply: if the call or the end of a malformed reply is not certain, the
// stream ends, and no call gets a wrong reply or error.
func TestUncertainReply(t *testing.T) {
	for name, reply := range map[string]string{
		"two ids":                      `{"id":1,"result":NaN,"id":2}`,
		"two ids, valid":               `{"id":1,"result":5,"id":2}`,
		"no id":                        `{"result":NaN}`,
		"id of no request":             `{"result":NaN,"id":"one"}`,
		"malformed id":                 `{"result":5,"id":01}`,
		"malformed id, #":              `{"result":5,"id":1.#}`,
		"no value of the id":           `{"result":5,"id":}`,
		"id with words":                `{"result":5,"id":1 2}`,
		"quote not escaped":            `{"result":"say "x" twice","id":1}`,
		"quote not escaped, separated": `{"result":"a", "b","id":1}`,
		"quote not escaped, nested":    `{"result":["say "x" twice"],"id":1}`,
		"an id from within":            `{"result":"a","id":2,"b","id":1}`,
		"no closing quote":             "{\"id\":1,\"result\":\"abc}\n{\"id\":2,\"result\":\"d\"}\n",
		"quote escaped by accident":    `{"id":1,"result":"C:\dir\"}` + "\n" + `{"id":2,"result":"d"}`,
		"no closing bracket":           `{"id":1,"result":[1,2` + "\n" + `{"id":2,"result":5}`,
		"no closing bracket, nested":   `{"id":1,"result":{"a":{"b":1}` + "\n" + `{"id":2,"result":5}`,
		"single quotes":                `{"id":1,"result":'}{"id":2,"result":5}'}`,
		"backquotes":                   "{\"id\":1,\"result\":`}{\"id\":2,\"result\":5}`}",
		"comment":                      `{"id":1,/*}{"id":2,"result":5}*/"result":5}`,
		"line comment":                 "{\"id\":1,//}{\n\"result\":5}",
		"member that is a bracket":     `{"id":1,"result":NaN,{"id":2}}`,
		"name that is a bracket":       `{"id":1,["x"]:NaN}`,
		"member that is a string":      `{"id":1,"result":NaN,"x"}`,
		"value of two":                 `{"id":1,"result":NaN,"x":{}:5}`,
		"value of two strings":         `{"id":1,"result":NaN,"x":"a":"b"}`,
		"word behind a bracket":        `{"id":1,"result":{}NaN}`,
		"word behind a string":         `{"id":1,"result":"a"NaN}`,
		"word in front of a string":    `{"id":1,"result":u"a"}`,
		"array":                        `[NaN]`,
	} {
		for version, client := range jsonVersions {
			c := sent(t, client, 2, reply)
			err := c.ReadResponseHeader(new(rpc.Response))
			require.Error(t, err, "%s %s", version, name)
			require.False(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), "%s %s: it ends at once", version, name)
			require.Equal(t, err, c.ReadResponseHeader(new(rpc.Response)), "final")
		}
	}
}

// TestMalformedNotification: a notification from the peer is ignored, even if malformed.
func TestMalformedNotification(t *testing.T) {
	for version, client := range jsonVersions {
		c := sent(t, client, 2, `{"jsonrpc":"2.0","method":"tick","params":[NaN,"C:\dir"]}{"id":2,"result":7}`)
		var r rpc.Response
		require.NoError(t, c.ReadResponseHeader(&r), version)
		require.Equal(t, uint64(2), r.Seq)
	}
}

// TestMalformedReplySplit cuts one anywhere.
func TestMalformedReplySplit(t *testing.T) {
	both := "{\"result\":\"C:\\dir \n}\",\"x\":[NaN,{}],\"id\":1}\n\ufeff{\"id\":2,\"result\":7}"
	for cut := range both {
		for version, client := range jsonVersions {
			conn := new(piecewise)
			conn.add(both[:cut])
			conn.add(both[cut:])
			if cut == 0 {
				conn.pieces = conn.pieces[1:]
			}
			c := client(conn)
			for seq := uint64(1); seq <= 2; seq++ {
				var r rpc.Response
				require.NoError(t, c.ReadResponseHeader(&r), "%s cut at %d", version, cut)
				require.Equal(t, seq, r.Seq)
				var n int
				require.Equal(t, seq == 2, c.ReadResponseBody(&n) == nil)
			}
		}
	}
}

// TestByteOrderMark: a byte order mark before the stream or a message is ignored (RFC 8259,
// section 8.1).
func TestByteOrderMark(t *testing.T) {
	const mark = "\ufeff"
	for version, client := range jsonVersions {
		c := sent(t, client, 3, mark+`{"id":1,"result":1}`+"\r\n"+mark+"\n"+`{"id":2,"result":2}`+mark+`{"id":3,"result":3}`+"\n"+mark)
		n, err := readAll(c, func(i int, r *rpc.Response) any {
			require.Equal(t, uint64(i+1), r.Seq)
			return new(int)
		})
		require.Equal(t, io.EOF, err, version)
		require.Equal(t, 3, n)

		for _, half := range []string{mark[:1], mark[:2]} {
			require.Equal(t, io.ErrUnexpectedEOF, sent(t, client, 1, half).ReadResponseHeader(new(rpc.Response)))
			require.Error(t, sent(t, client, 1, half+`{"id":1,"result":1}`).ReadResponseHeader(new(rpc.Response)))
		}
		require.Error(t, sent(t, client, 1, "\xff\xfe"+`{"id":1,"result":1}`).ReadResponseHeader(new(rpc.Response)), "UTF-16")
	}
	for version, server := range servers {
		got := serve(t, server, mark+`{"jsonrpc":"2.0","method":"Echo.Int","params":[5],"id":1}`+"\n"+mark+`{"jsonrpc":"2.0","method":"Echo.Int","params":[6],"id":2}`)
		require.Len(t, got, 2, version)
		require.Contains(t, got[0]+got[1], `"result":5`)
		require.Contains(t, got[0]+got[1], `"result":6`)
	}
}

// TestErrorBesideAResult: some peers always write an error, and false, 0 or "" for
// none.
func TestErrorBesideAResult(t *testing.T) {
	for _, none := range []string{"false", "0", `""`, "null"} {
		for version, client := range jsonVersions {
			for _, reply := range []string{`{"id":1,"result":5,"error":%s}`, `{"error":%s,"id":1,"result":5}`} {
				c := sent(t, client, 1, fmt.Sprintf(reply, none))
				var r rpc.Response
				require.NoError(t, c.ReadResponseHeader(&r))
				require.Empty(t, r.Error, "%s %s", version, none)
				require.NoError(t, c.(codec.ErrorReader).ReadError())
				var n int
				require.NoError(t, c.ReadResponseBody(&n))
				require.Equal(t, 5, n)
			}
		}
		// A result of null is one in version 2.0.
		c := sent(t, codec.NewJSON2Client, 1, fmt.Sprintf(`{"id":1,"result":null,"error":%s}`, none))
		var r rpc.Response
		require.NoError(t, c.ReadResponseHeader(&r))
		require.Empty(t, r.Error)
		require.NoError(t, c.ReadResponseBody(new(int)))
	}
	for version, client := range jsonVersions { // these say something
		for _, some := range []string{"true", "1", `"false"`, "{}", "[]"} {
			c := sent(t, client, 1, fmt.Sprintf(`{"id":1,"result":5,"error":%s}`, some))
			var r rpc.Response
			require.NoError(t, c.ReadResponseHeader(&r))
			require.NotEmpty(t, r.Error, "%s %s", version, some)
		}
	}
}

// TestErrorCode: a code that is not an integer of type int becomes CodeServerError. The rest
// of the object does not change.
func TestErrorCode(t *testing.T) {
	for code, want := range map[string]int{
		"-32601": -32601, "0": 0, "-0": 0, "5.0": 5, "-5e0": -5, "1e3": 1000, `"5"`: 5, `"-5.0"`: -5, "null": 0,
		"2147483647": 2147483647, "-2147483648": -2147483648,
		"3.7": codec.CodeServerError, "-0.5": codec.CodeServerError, "1e400": codec.CodeServerError,
		"-1e400": codec.CodeServerError, "1e300": codec.CodeServerError, "9223372036854775808": codec.CodeServerError,
		`"NaN"`: codec.CodeServerError, `"Inf"`: codec.CodeServerError, `"-Infinity"`: codec.CodeServerError,
		`"E_FAIL"`: codec.CodeServerError, `""`: codec.CodeServerError, "true": codec.CodeServerError,
		"{}": codec.CodeServerError, "[1]": codec.CodeServerError,
		strings.Repeat("9", 1000): codec.CodeServerError,
	} {
		for version, client := range jsonVersions {
			c := sent(t, client, 1, `{"id":1,"error":{"code":`+code+`,"message":"m","data":[1]}}`)
			require.NoError(t, c.ReadResponseHeader(new(rpc.Response)))
			got := c.(codec.ErrorReader).ReadError()
			require.Equal(t, &codec.Error{Code: want, Message: "m", Data: []byte("[1]")}, got, "%s %s", version, code)

			object := `{"code":` + code + `}`
			c = sent(t, client, 1, `{"id":1,"error":`+object+`}`)
			var r rpc.Response
			require.NoError(t, c.ReadResponseHeader(&r))
			if want == codec.CodeServerError {
				require.Equal(t, object, r.Error, "what it says is not lost")
			}
		}
	}
}
