package mismatch

import (
	"bytes"
	stdgob "encoding/gob"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/rpc"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// gobOf is a frame of net/rpc's.
func gobOf(t *testing.T, values ...any) []byte {
	t.Helper()
	var out bytes.Buffer
	enc := stdgob.NewEncoder(&out)
	for _, v := range values {
		require.NoError(t, enc.Encode(v))
	}
	return out.Bytes()
}

func TestProtocolsAreRecognized(t *testing.T) {
	for _, c := range []struct {
		head string
		want protocol
	}{
		{"", nothing},
		{"HTTP/1.1 400 Bad Request\r\n", http},
		{"HTT", unknown},
		{"\x15\x03\x01\x00\x02\x02\x46", tls},
		{"\x16\x03\x03\x04\xba", tls},
		{string(gobOf(t, rpc.Request{ServiceMethod: "A.B"})), gob},
		{string(gobOf(t, rpc.Response{ServiceMethod: "A.B"})), gob},
		{"\x3a\xff\x83\x03", gob},
		{"\x3a\xfe\x01\x03", gob},
		{"\x3a\xfe\x01\x04", unknown},
		{"\x3a\x03", unknown},
		{"\x3a\x80", unknown},
		{"\xff\x90\xff\x83\x03", gob}, // of a large struct
		{"\xff\x90\xff", unknown},
		{`{"id":0,"result":1,"error":null}`, json1},
		{"\ufeff\r\n" + ` {"jsonrpc":"2.0"`, json2},
		{`[{"jsonrpc":"2.0"`, json2},
		{"220 mail.example.com ESMTP\r\n", unknown},
	} {
		require.Equal(t, c.want, protocolOf([]byte(c.head)), "%q", c.head)
	}
}

var (
	sentJSON1 = []byte(`{"method":"A.B","params":[1],"id":0}`)
	sentJSON2 = []byte(`{"jsonrpc":"2.0","method":"A.B","params":[1],"id":0}`)
)

// A server may be killed in the middle of its first reply. That is no mismatch.
func TestPartOfAReplyIsNoMismatch(t *testing.T) {
	gobReply := gobOf(t, rpc.Response{ServiceMethod: "A.B"}, 1)
	for _, c := range []struct{ sent, reply []byte }{
		{gobOf(t, rpc.Request{ServiceMethod: "A.B"}, 1), gobReply},
		{sentJSON1, []byte(`{"id":0,"result":1,"error":null}`)},
		{sentJSON2, []byte(` {"result":1,"id":0,"jsonrpc":"2.0"}`)},
	} {
		for n := 1; n <= len(c.reply); n++ {
			client := Client{Sent: c.sent, Received: c.reply[:n]}
			require.Equal(t, io.ErrUnexpectedEOF, client.Lost(io.ErrUnexpectedEOF, false), "%q", c.reply[:n])
			require.False(t, client.IsForeign(), "%q", c.reply[:n])
		}
	}
}

// An explanation says nothing of a peer that has answered, of a failure of this side's, or
// of protocols that are not known.
func TestWhatIsNotExplained(t *testing.T) {
	sent := gobOf(t, rpc.Request{ServiceMethod: "A.B"})
	for name, c := range map[string]struct {
		client Client
		err    error
		known  bool
	}{
		"an end of a connection to a peer that has answered": {Client{Sent: sent}, io.ErrUnexpectedEOF, true},
		"a timeout": {Client{Sent: sent}, os.ErrDeadlineExceeded, false},
		"the peer's TLS alert, as for want of a certificate": {Client{Sent: sent}, &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, false},
		"an end before a request was sent":                   {Client{}, io.ErrUnexpectedEOF, false},
		"a codec of one's own":                               {Client{Sent: []byte("\x93msgpack"), Received: []byte("\x94msgpack")}, io.ErrUnexpectedEOF, false},
		"a codec of one's own, without an answer":            {Client{Sent: []byte("\x93msgpack")}, io.ErrUnexpectedEOF, false},
	} {
		require.Equal(t, c.err, c.client.Lost(c.err, c.known), name)
	}
}

func TestErrorKeepsWhatItExplains(t *testing.T) {
	cause := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	err := &Error{Explanation: "because", Err: cause}
	var _ net.Error = err
	require.EqualError(t, err, cause.Error()+"; because")
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.True(t, err.Timeout())
	require.True(t, err.Temporary())
	err = &Error{Explanation: "because", Err: io.EOF}
	require.False(t, err.Timeout())
	require.False(t, err.Temporary())
}

// A nudge stands between two requests, and the standard library's decoders pass over it.
func TestNudgeMeansNothing(t *testing.T) {
	var in bytes.Buffer
	enc, dec := stdgob.NewEncoder(&in), stdgob.NewDecoder(&in)
	require.NoError(t, enc.Encode(rpc.Request{ServiceMethod: "A.B", Seq: 1}))
	in.Write(Client{Sent: bytes.Clone(in.Bytes())}.Nudge())
	require.NoError(t, enc.Encode(rpc.Request{ServiceMethod: "C.D", Seq: 2}))
	for _, method := range []string{"A.B", "C.D"} {
		var r rpc.Request
		require.NoError(t, dec.Decode(&r))
		require.Equal(t, method, r.ServiceMethod)
	}
	require.Zero(t, in.Len())
	stream := json.NewDecoder(bytes.NewReader(append(append(bytes.Clone(sentJSON1), Client{Sent: sentJSON1}.Nudge()...), sentJSON2...)))
	var first, second struct{ Method string }
	require.NoError(t, stream.Decode(&first))
	require.NoError(t, stream.Decode(&second))
	require.Equal(t, "A.B", second.Method)
	require.Nil(t, Client{Sent: []byte("\x93msgpack")}.Nudge())
}

// What a gob server takes for the length of a message must have come with the shortest
// request.
func TestGobServersGetWhatTheyWaitFor(t *testing.T) {
	require.Greater(t, len("CONNECT / HTTP/1.0\n"+UserAgent+"\n"), int('C'))
	require.Greater(t, 1+len(Client{Sent: sentJSON1}.Nudge()), int('{'))
	require.Contains(t, string(gobNudge), "\n")
}
