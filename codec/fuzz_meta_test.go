package codec_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// metaStream is what a client sends, or a server in answer, with metadata and a
// cancellation.
func metaStream(f *testing.F, name string) (requests, replies []byte) {
	here, there := newLink()
	c := metaClient(metaFormats[name].client(here))
	s := metaFormats[name].server(there).(codec.MetaServer)
	s.UseMeta(func(uint64) {})
	full := fullMeta()
	for i := range 3 {
		require.NoError(f, c.WriteRequestMeta(&rpc.Request{ServiceMethod: "A.B", Seq: uint64(i)}, &full, i))
	}
	require.NoError(f, c.WriteCancel(1))
	requests = bytes.Clone(here.out.Bytes())
	for range 3 {
		var r rpc.Request
		require.NoError(f, s.ReadRequestHeader(&r))
		require.NoError(f, s.ReadRequestBody(nil))
		require.NoError(f, s.WriteResponseMeta(&rpc.Response{Seq: r.Seq}, &codec.ResponseMeta{Running: 2, Clock: 5e6}, 1))
	}
	return requests, here.in.Bytes()
}

func withinBounds(t *testing.T, m codec.RequestMeta) {
	if len(m.Trace.State) > codec.MaxTraceState || m.Deadline < 0 {
		t.Fatalf("metadata out of bounds: %+v", m)
	}
}

// FuzzMetaRequests reads requests with and without UseMeta, which must not change the rest of
// the request. The metadata read must be the same after they are sent and read again.
func FuzzMetaRequests(f *testing.F) {
	for name := range metaFormats {
		requests, _ := metaStream(f, name)
		f.Add(requests)
	}
	f.Add([]byte(`{"method":"A.B","params":[1],"id":1,"meta":{"traceparent":7}}{"method":"rpcx.Cancel","params":{},"id":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, format := range metaFormats {
			with, plain := format.server(play(data)).(codec.MetaServer), format.server(play(data))
			with.UseMeta(func(uint64) {})
			before := heapAllocs()
			for {
				var r, want rpc.Request
				err, wantErr := with.ReadRequestHeader(&r), plain.ReadRequestHeader(&want)
				for wantErr == nil && want.ServiceMethod == "rpcx.Cancel" && r.ServiceMethod != want.ServiceMethod {
					wantErr = plain.ReadRequestHeader(&want)
				}
				bounded(t, before, 2*len(data))
				if (err == nil) != (wantErr == nil) || err == nil && r.ServiceMethod != want.ServiceMethod {
					t.Fatalf("%s: %+v %v, want %+v %v", name, r, err, want, wantErr)
				}
				if err != nil {
					break
				}
				m, answers := metaOf(with)
				withinBounds(t, m)
				if (with.ReadRequestBody(new(int)) == nil) != (plain.ReadRequestBody(new(int)) == nil) {
					t.Fatalf("%s: a body differs", name)
				}
				if answers {
					sameWhenSentOn(t, format.client, format.server, m)
				}
			}
		}
	})
}

func sameWhenSentOn(t *testing.T, client func(io.ReadWriteCloser) rpc.ClientCodec, server func(io.ReadWriteCloser) rpc.ServerCodec, m codec.RequestMeta) {
	if !m.Trace.IsValid() {
		m.Trace = codec.Trace{}
	}
	here, there := newLink()
	require.NoError(t, metaClient(client(here)).WriteRequestMeta(&rpc.Request{ServiceMethod: "A.B"}, &m, 1))
	s, _ := metaServer(server(there))
	request(t, s)
	got, _ := metaOf(s)
	require.Equal(t, m, got)
}

// FuzzMetaReplies likewise reads replies.
func FuzzMetaReplies(f *testing.F) {
	for name := range metaFormats {
		_, replies := metaStream(f, name)
		f.Add(replies)
	}
	f.Add([]byte(`{"id":1,"result":5,"error":null,"meta":{"running":-1,"clock":1e9}}{"id":2,"meta":[],"result":{"meta":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, format := range metaFormats {
			with, plain := metaClient(format.client(play(data))), format.client(play(data))
			before := heapAllocs()
			for {
				var r, want rpc.Response
				err, wantErr := with.ReadResponseHeader(&r), plain.ReadResponseHeader(&want)
				bounded(t, before, 2*len(data))
				if (err == nil) != (wantErr == nil) || r != want {
					t.Fatalf("%s: %+v %v, want %+v %v", name, r, err, want, wantErr)
				}
				if err != nil {
					break
				}
				if m := with.ResponseMeta(); m.Running < 0 || m.Clock < 0 {
					t.Fatalf("metadata out of bounds: %+v", m)
				}
				var body, wantBody json.RawMessage
				if (with.ReadResponseBody(&body) == nil) != (plain.ReadResponseBody(&wantBody) == nil) || !bytes.Equal(body, wantBody) {
					t.Fatalf("%s: a body differs", name)
				}
			}
		}
	})
}
