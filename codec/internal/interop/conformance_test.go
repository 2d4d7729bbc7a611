package interop

import (
	"encoding/json"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.lsp.dev/jsonrpc2/conformance"

	"resilientrpc/codec"
)

// lenient are invalid vectors that our client takes all the same: replies whose
// meaning is clear, of peers that are only nearly right.
var lenient = map[string]bool{
	"error: missing version on response":         true,
	"error: response with both result and error": true, // an error
	"error: response without result or error":    true, // a DecodeError of that call
	"error: method with result is mixed":         true, // a reply
	"error: trailing garbage":                    true, // it ends the stream after the message
	"error: missing jsonrpc version":             true, // a peer's own request: passed over
	"error: wrong jsonrpc version":               true,
	"error: jsonrpc version as number":           true,
	"error: jsonrpc version null":                true,
}

// respond serves one message and returns the answer, empty for none.
func respond(t *testing.T, wire string) string {
	server, _ := newServer(t)
	conn := &script{Reader: strings.NewReader(wire + "\n")}
	server.ServeCodec(codec.NewJSON2Server(conn))
	return conn.String()
}

// TestServerVectors: a valid call is answered under its id (no method of the
// vectors exists), a valid notification not at all, anything else as what it is.
func TestServerVectors(t *testing.T) {
	for _, v := range append(conformance.Valid(), conformance.Invalid()...) {
		t.Run(v.Name, func(t *testing.T) {
			answer := respond(t, v.Wire)
			var reply struct {
				ID    json.RawMessage
				Error *codec.Error
			}
			var request struct{ ID json.RawMessage }
			if answer != "" {
				require.NoError(t, json.Unmarshal([]byte(strings.SplitAfter(answer, "\n")[0]), &reply))
				json.Unmarshal([]byte(v.Wire), &request) //nolint:errcheck // invalid ones are among them
			}
			switch {
			case v.Kind == conformance.KindCall:
				require.Equal(t, codec.CodeMethodNotFound, reply.Error.Code)
				require.JSONEq(t, string(request.ID), string(reply.ID))
			case v.Name == "success: notification with explicit null id":
				// The specification's section 4.1: without an id it is one. With
				// null it is a request, if not a wise one.
				require.Equal(t, codec.CodeMethodNotFound, reply.Error.Code)
				require.Equal(t, "null", string(reply.ID))
			case v.Kind == conformance.KindNotification:
				require.Empty(t, answer)
			case v.Wire == "", v.Name == "error: truncated object":
				require.Empty(t, answer) // the stream has ended
			case v.Name == "error: jsonrpc version as number": // as good as the string
				require.Equal(t, codec.CodeMethodNotFound, reply.Error.Code)
			case v.Name == "error: trailing garbage":
				require.Equal(t, codec.CodeMethodNotFound, reply.Error.Code)
				require.Contains(t, answer, "-32700")
			case json.Valid([]byte(v.Wire)) && v.Wire[0] == '{':
				require.Equal(t, codec.CodeInvalidRequest, reply.Error.Code)
			default:
				require.Equal(t, codec.CodeParseError, reply.Error.Code)
			}
		})
	}
}

// TestClientVectors: a valid reply is read as it is meant; an invalid message
// ends the stream, but for the lenient ones.
func TestClientVectors(t *testing.T) {
	for _, v := range append(conformance.Valid(), conformance.Invalid()...) {
		t.Run(v.Name, func(t *testing.T) {
			conn := &script{Reader: strings.NewReader(v.Wire)}
			c := codec.NewJSON2Client(conn)
			require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "m", Seq: 3}, nil))
			var r rpc.Response
			err := c.ReadResponseHeader(&r)
			switch v.Kind {
			case conformance.KindResponseResult:
				require.NoError(t, err)
				require.Empty(t, r.Error)
				var got json.RawMessage
				require.NoError(t, c.ReadResponseBody(&got))
				require.Equal(t, v.Result, string(got))
			case conformance.KindResponseError:
				require.NoError(t, err)
				require.Equal(t, int(v.ErrCode), c.(codec.ErrorReader).ReadError().(*codec.Error).Code)
			case conformance.KindInvalid:
				if !lenient[v.Name] {
					require.Error(t, err)
				}
			default: // a peer's own requests are passed over
				require.ErrorContains(t, err, "EOF")
			}
		})
	}
}
