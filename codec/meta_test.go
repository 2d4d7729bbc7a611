package codec_test

import (
	"bytes"
	"io"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// metaFormats are the formats that carry metadata.
var metaFormats = map[string]struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	server func(io.ReadWriteCloser) rpc.ServerCodec
}{
	"gob":   {codec.NewGobClient, codec.NewGobServer},
	"json":  {codec.NewJSONClient, codec.NewJSONServer},
	"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
}

// fullMeta has every kind of metadata.
func fullMeta() codec.RequestMeta {
	return codec.RequestMeta{
		Deadline: 1234567 * time.Microsecond,
		Retry:    true,
		Trace: codec.Trace{
			TraceID: [16]byte{15: 7}, SpanID: [8]byte{0: 200}, Flags: 1,
			State: `a=1,b="\<>&é`[:11],
		},
		Call:    1 << 40,
		Pending: 300,
	}
}

// metaClient returns a client codec with metadata; the server's support is known.
func metaClient(c rpc.ClientCodec) codec.MetaClient {
	m := c.(codec.MetaClient)
	m.UseMeta()
	m.SetMetaSupport(true)
	return m
}

// metaServer returns a server codec with metadata, and the requests canceled.
func metaServer(s rpc.ServerCodec) (codec.MetaServer, *[]uint64) {
	m, canceled := s.(codec.MetaServer), new([]uint64)
	m.UseMeta(func(seq uint64) { *canceled = append(*canceled, seq) })
	return m, canceled
}

// metaOf returns the metadata of the last request, zero for none.
func metaOf(s codec.MetaServer) (m codec.RequestMeta, answers bool) {
	p, answers := s.RequestMeta()
	if p != nil {
		m = *p
	}
	return m, answers
}

// sending writes all its requests with the metadata.
type sending struct {
	codec.MetaClient
	meta *codec.RequestMeta
}

func (c sending) WriteRequest(r *rpc.Request, body any) error {
	return c.WriteRequestMeta(r, c.meta, body)
}

// answering writes all its replies with metadata.
type answering struct{ codec.MetaServer }

func (s answering) WriteResponse(r *rpc.Response, body any) error {
	return s.WriteResponseMeta(r, &codec.ResponseMeta{Running: 3, Clock: time.Second}, body)
}

// request reads a request, whose argument is an int.
func request(t *testing.T, s rpc.ServerCodec) rpc.Request {
	t.Helper()
	var r rpc.Request
	require.NoError(t, s.ReadRequestHeader(&r))
	require.NoError(t, s.ReadRequestBody(new(int)))
	return r
}

// response reads a reply, which is an int.
func response(t *testing.T, c rpc.ClientCodec) rpc.Response {
	t.Helper()
	var r rpc.Response
	require.NoError(t, c.ReadResponseHeader(&r))
	require.NoError(t, c.ReadResponseBody(new(int)))
	return r
}

// link is one end of a connection in memory, which is read only when something is there.
type link struct {
	in, out *bytes.Buffer
	frames  int // requests written
}

func newLink() (client, server *link) {
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	return &link{in: down, out: up}, &link{in: up, out: down}
}

func (l *link) Read(p []byte) (int, error)  { return l.in.Read(p) }
func (l *link) Write(p []byte) (int, error) { return l.out.Write(p) }
func (l *link) Close() error                { return nil }

// WriteFrame implements codec.FrameWriter.
func (l *link) WriteFrame(p []byte) (int, error) {
	l.frames++
	return l.Write(p)
}

// The metadata of a message arrive with it, and not with the next one.
func TestMetaArrives(t *testing.T) {
	for name, f := range metaFormats {
		t.Run(name, func(t *testing.T) {
			here, there := newLink()
			c := metaClient(f.client(here))
			s, _ := metaServer(f.server(there))
			full, none := fullMeta(), codec.RequestMeta{}
			for i, sent := range []*codec.RequestMeta{&full, nil, &none, {Call: 1}, &full} {
				require.NoError(t, c.WriteRequestMeta(&rpc.Request{ServiceMethod: "A.B", Seq: uint64(i)}, sent, i))
				r := request(t, s)
				got, answers := metaOf(s)
				want := none
				if sent != nil {
					want = *sent
				}
				require.Equal(t, want, got, i)
				require.Equal(t, name == "gob" || sent != nil, answers, i)

				said := codec.ResponseMeta{Running: 1 + i, Clock: time.Duration(i) * time.Second}
				require.NoError(t, s.WriteResponseMeta(&rpc.Response{Seq: r.Seq}, &said, i))
				require.Equal(t, uint64(i), response(t, c).Seq)
				if !answers {
					said = codec.ResponseMeta{}
				}
				require.Equal(t, said, c.ResponseMeta(), i)
			}
			require.Equal(t, codec.MetaUnderstood, c.MetaSupport())
			require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: 9}, 1))
			r := request(t, s)
			got, _ := metaOf(s)
			require.Zero(t, got)
			require.NoError(t, s.WriteResponse(&rpc.Response{Seq: r.Seq}, 1))
			response(t, c)
			require.Zero(t, c.ResponseMeta())
		})
	}
}

// Stock servers ignore metadata. Here all requests are written before the first reply shows
// that the server is one.
func TestMetaToAStockServer(t *testing.T) {
	for _, f := range formats {
		a, b := tcpPipe(t)
		go f.stockServer(newServer(), b)
		c, full := metaClient(f.client(a)), fullMeta()
		for i := range 5 {
			require.NoError(t, c.WriteRequestMeta(&rpc.Request{ServiceMethod: "Echo.Int", Seq: uint64(i)}, &full, i))
		}
		for range 5 {
			var got int
			var r rpc.Response
			require.NoError(t, c.ReadResponseHeader(&r))
			require.NoError(t, c.ReadResponseBody(&got))
			require.Equal(t, r.Seq, uint64(got), f.name)
			require.Empty(t, r.Error)
		}
		if f.name == "gob" {
			require.Equal(t, codec.MetaIgnored, c.MetaSupport())
		}
		require.NoError(t, c.Close())
	}
}

// Every kind of call with metadata works with a stock server, and the server sends the same
// bytes as without. After its first reply the client sends no more metadata.
func TestMetaWireToAStockServer(t *testing.T) {
	full := fullMeta()
	for _, f := range formats {
		stock := pair(t, tcpPipe, f.stockClient, f.stockServer)
		wantReplies, wantErrs := run(t, stock.Client, exchanges())
		ours := pair(t, tcpPipe, func(conn io.ReadWriteCloser) *rpc.Client {
			c := f.client(conn).(codec.MetaClient)
			c.UseMeta()
			return rpc.NewClientWithCodec(sending{c, &full})
		}, f.stockServer)
		replies, errs := run(t, ours.Client, exchanges())
		require.Equal(t, wantErrs, errs)
		require.Equal(t, wantReplies, replies)
		require.Equal(t, stock.wire.received(), ours.wire.received(), f.name)

		again := func(s *session) int {
			before := len(s.wire.sent())
			run(t, s.Client, exchanges())
			return len(s.wire.sent()) - before
		}
		require.Equal(t, again(stock), again(ours), f.name)
		if f.name == "json" { // which sends none unasked
			require.Equal(t, stock.wire.sent(), ours.wire.sent())
		}
	}
}

// A stock client is answered with net/rpc's bytes by a server that uses metadata.
func TestMetaWireToAStockClient(t *testing.T) {
	for _, f := range formats {
		stock := pair(t, tcpPipe, f.stockClient, f.stockServer)
		wantReplies, wantErrs := run(t, stock.Client, exchanges())
		ours := pair(t, tcpPipe, f.stockClient, func(s *rpc.Server, conn io.ReadWriteCloser) {
			c := f.server(conn).(codec.MetaServer)
			c.UseMeta(func(uint64) { t.Error("nothing was canceled") })
			s.ServeCodec(answering{c})
		})
		replies, errs := run(t, ours.Client, exchanges())
		require.Equal(t, wantErrs, errs)
		require.Equal(t, wantReplies, replies)
		require.Equal(t, stock.wire.sent(), ours.wire.sent(), f.name)
		require.Equal(t, stock.wire.received(), ours.wire.received(), f.name)
	}
}

// What metadata cost on the wire. The documentation has these numbers.
func TestMetaSizes(t *testing.T) {
	written := func(name string, use bool, m *codec.RequestMeta) (first, later int) {
		here, _ := newLink()
		c := metaFormats[name].client(here).(codec.MetaClient)
		if use {
			c = metaClient(c)
		}
		require.NoError(t, c.WriteRequestMeta(&rpc.Request{ServiceMethod: "A.B"}, m, 1))
		first = here.out.Len()
		require.NoError(t, c.WriteRequestMeta(&rpc.Request{ServiceMethod: "A.B"}, m, 1))
		return first, here.out.Len() - first
	}
	deadline := codec.RequestMeta{Deadline: 90 * time.Minute}
	trace := codec.RequestMeta{Trace: fullMeta().Trace}
	trace.Trace.State = ""
	both := codec.RequestMeta{Deadline: deadline.Deadline, Trace: trace.Trace}
	answered := func(use bool) int {
		here, there := newLink()
		c, s := metaClient(codec.NewGobClient(here)), codec.NewGobServer(there)
		if use {
			s, _ = metaServer(s)
		}
		require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B"}, 1))
		require.NoError(t, s.WriteResponse(&rpc.Response{Seq: request(t, s).Seq}, 1))
		return here.in.Len()
	}
	// The number of a type is longer if many types of other tests have come before.
	require.InDelta(t, 34, answered(true)-answered(false), 1)
	for name, want := range map[string]struct{ definition, deadline, trace, both int }{
		"gob":  {67, 7, 27, 34},
		"json": {0, 31, 81, 103},
	} {
		plain, plainLater := written(name, false, nil)
		first, later := written(name, true, nil)
		require.Equal(t, want.definition, first-plain, name)
		require.Equal(t, plainLater, later, name)
		for m, more := range map[*codec.RequestMeta]int{&deadline: want.deadline, &trace: want.trace, &both: want.both} {
			_, later := written(name, true, m)
			require.Equal(t, more, later-plainLater, "%s %+v", name, m)
		}
	}
}

// A cancellation calls canceled with the server's number of the request. It is not sent to a
// server that does not support it.
func TestCancelMessage(t *testing.T) {
	for name, f := range metaFormats {
		t.Run(name, func(t *testing.T) {
			here, there := newLink()
			c := f.client(here).(codec.MetaClient)
			c.UseMeta()
			require.NoError(t, c.WriteCancel(1))
			c.SetMetaSupport(false)
			require.NoError(t, c.WriteCancel(1))
			require.Zero(t, here.out.Len())
			c.SetMetaSupport(true)

			s, canceled := metaServer(f.server(there))
			write := func(seq uint64) {
				t.Helper()
				require.NoError(t, c.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: seq}, 5))
			}
			write(40)
			first := request(t, s)
			write(41)
			second := request(t, s)
			frames := here.frames
			require.NoError(t, c.WriteCancel(41))
			require.NoError(t, c.WriteCancel(77))
			require.Equal(t, frames, here.frames, "it is no request")
			write(42)
			require.Equal(t, "A.B", request(t, s).ServiceMethod)
			require.Equal(t, second.Seq, (*canceled)[0])
			require.NotContains(t, *canceled, first.Seq)
			require.NoError(t, s.WriteResponse(&rpc.Response{Seq: second.Seq}, 6))
			require.Equal(t, uint64(41), response(t, c).Seq)
			require.Zero(t, here.in.Len(), "a cancellation is not answered")
		})
	}
}

// Without UseMeta on both ends, a method with the name of cancelMethod is an ordinary method.
func TestCancelIsAMethodLikeAnyOther(t *testing.T) {
	for name, f := range metaFormats {
		here, there := newLink()
		s, canceled := metaServer(f.server(there))
		require.NoError(t, f.client(here).WriteRequest(&rpc.Request{ServiceMethod: "rpcx.Cancel", Seq: 1}, 5))
		require.Equal(t, "rpcx.Cancel", request(t, s).ServiceMethod, name)
		require.Empty(t, *canceled)
	}
}

// Without metadata, UseMeta costs no allocation.
func TestMetaAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("allocations are not counted exactly")
	}
	for name, f := range metaFormats {
		perCall := func(use bool, m *codec.RequestMeta) float64 {
			here, there := newLink()
			c, s := f.client(here).(codec.MetaClient), f.server(there).(codec.MetaServer)
			if use {
				c = metaClient(c)
				s.UseMeta(func(uint64) {})
			}
			var in, out int
			var q rpc.Request
			var r rpc.Response
			said := codec.ResponseMeta{Running: 5}
			return testing.AllocsPerRun(100, func() {
				q = rpc.Request{ServiceMethod: "A.B", Seq: q.Seq + 1}
				if c.WriteRequestMeta(&q, m, 1) != nil || s.ReadRequestHeader(&q) != nil || s.ReadRequestBody(&in) != nil {
					t.Error("request")
				}
				r = rpc.Response{Seq: q.Seq}
				if s.WriteResponseMeta(&r, &said, 1) != nil || c.ReadResponseHeader(&r) != nil || c.ReadResponseBody(&out) != nil {
					t.Error("response")
				}
			})
		}
		without := perCall(false, nil)
		require.Equal(t, without, perCall(true, nil), name)
		if name == "gob" {
			require.Equal(t, without, perCall(true, &codec.RequestMeta{Deadline: time.Hour, Retry: true, Call: 7}))
		}
	}
}
