package rpcx_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
)

// TestHTTPFailureFailsItsCallOnly: of the exchanges under way, one that fails leaves the
// others and their connection alone.
func TestHTTPFailureFailsItsCallOnly(t *testing.T) {
	for what, answer := range map[string]http.HandlerFunc{
		"503":  httpStatus(503, "", "overloaded"),
		"500":  httpStatus(500, "", ""),
		"page": httpStatus(200, "", "<html>"),
		"cut":  httpStatus(200, "Content-Length: 1000", `{"jsonrpc":`),
		"lost": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(what, func(t *testing.T) {
			s := newWeb(t, map[string]http.HandlerFunc{"Fail": answer}, nil)
			d, conns := overHTTP(jsonhttp.Config{})
			c := dialWeb(t, d, s.addr())
			ends := make(chan *rpcx.Call, 8)
			for range cap(ends) {
				c.Go("Do.Wait", 1, new(int), ends)
				<-s.arrived
			}
			for range 3 {
				require.Error(t, c.Call("Do.Fail", 1, new(int)))
			}
			close(s.release)
			for range cap(ends) {
				require.NoError(t, (<-ends).Error)
			}
			require.NoError(t, c.Call("Do.Fine", 1, new(int)))
			require.Equal(t, int64(1), conns.Load())
		})
	}
}

// TestHTTPTimeoutIsItsCallsOwn: the Timeout of an http.Client is one, and ends nothing
// else.
func TestHTTPTimeoutIsItsCallsOwn(t *testing.T) {
	t.Parallel()
	s := newWeb(t, nil, nil)
	d, conns := overHTTP(jsonhttp.Config{Client: &http.Client{Timeout: time.Second, Transport: new(http.Transport)}})
	c := dialWeb(t, d, s.addr())
	err := callError(t, c.Call("Do.Wait", 1, new(int)))
	require.True(t, err.Timeout(), "%v", err)
	require.Equal(t, rpcx.MaybeSent, err.Sent)
	require.NoError(t, c.Call("Do.Fine", 1, new(int)))
	require.Equal(t, int64(1), conns.Load())
}

// refusedAddr is an address without a listener. A connection has its port, so that no other
// test's listener gets it.
func refusedAddr(t *testing.T) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	conn, err := net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		lis.Close()
	})
	return conn.LocalAddr().String()
}

// TestHTTPCallsMoveOn from a replica that has not run them, although they are not
// idempotent, and none is lost.
func TestHTTPCallsMoveOn(t *testing.T) {
	t.Parallel()
	for what, addr := range map[string]func(t *testing.T) string{
		"refused": refusedAddr,
		"429":     func(t *testing.T) string { return newWeb(t, nil, httpStatus(429, "", "")).addr() },
		"429 with an error": func(t *testing.T) string {
			return newWeb(t, nil, httpStatus(429, "", `{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"slow down"}}`)).addr()
		},
		"503 for a while": func(t *testing.T) string { return newWeb(t, nil, httpStatus(503, "Retry-After: 60", "")).addr() },
	} {
		t.Run(what, func(t *testing.T) {
			sound := newWeb(t, nil, nil)
			d, _ := overHTTP(jsonhttp.Config{})
			c := dialWeb(t, d, addr(t), sound.addr())
			for range 100 {
				require.NoError(t, c.Call("Do.Fine", 1, new(int)))
			}
			require.Equal(t, int64(100), sound.ran.Load())
		})
	}
}

// TestHTTPStatusOfACall: what the caller and the breaker learn.
func TestHTTPStatusOfACall(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code   int
		header string
		sent   rpcx.Sent
		opens  bool
	}{
		{302, "Location: http://elsewhere.example/", rpcx.NotSent, false},
		{401, "", rpcx.NotSent, false},
		{403, "", rpcx.NotSent, false},
		{413, "", rpcx.NotSent, false},
		{429, "Retry-After: 60", rpcx.NotSent, false},
		{503, "Retry-After: 60", rpcx.NotSent, true},
		{503, "", rpcx.MaybeSent, true},
		{500, "", rpcx.MaybeSent, true},
		{502, "", rpcx.MaybeSent, true},
	} {
		t.Run(fmt.Sprint(test.code, test.header), func(t *testing.T) {
			s := newWeb(t, map[string]http.HandlerFunc{"Fail": httpStatus(test.code, test.header, "because")}, nil)
			d, _ := overHTTP(jsonhttp.Config{})
			c := dialWeb(t, d, s.addr())
			err := callError(t, c.Call("Do.Fail", 1, new(int)))
			require.Equal(t, test.sent, err.Sent)
			var status *jsonhttp.StatusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, test.code, status.Code)
			require.Equal(t, "because", status.Body)
			require.Contains(t, err.Error(), "because")
			for range 10 {
				require.Error(t, c.Call("Do.Fail", 1, new(int)))
			}
			require.Equal(t, test.opens, c.Stats().Endpoints[0].Trips > 0)
		})
	}
}

// TestRetryAfterIsObeyed: a call is not repeated before the time that the server names,
// and waits for it only if that is soon.
func TestRetryAfterIsObeyed(t *testing.T) {
	var tries atomic.Int64
	s := newWeb(t, map[string]http.HandlerFunc{"Fail": func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		httpStatus(503, "Retry-After: 60", "")(w, r)
	}}, nil)
	d, _ := overHTTP(jsonhttp.Config{})
	c := dialWeb(t, d, s.addr())
	require.Error(t, c.CallContext(rpcx.WithIdempotent(context.Background()), "Do.Fail", 1, new(int)))
	require.LessOrEqual(t, tries.Load(), int64(2), "one, and one that moves on to where it was")
}

// TestMoreCallsThanPlaces: slow calls beyond MaxInFlight wait for a place, and nothing
// else does.
func TestMoreCallsThanPlaces(t *testing.T) {
	t.Parallel()
	s := newWeb(t, nil, nil)
	d, conns := overHTTP(jsonhttp.Config{MaxInFlight: 8})
	c := dialWeb(t, d, s.addr())
	ends := make(chan *rpcx.Call, 20)
	for range cap(ends) {
		c.Go("Do.Wait", 1, new(int), ends)
	}
	for range 8 {
		<-s.arrived
	}
	time.Sleep(5 * time.Second) // in which the pings are answered, or the peer convicted
	require.Empty(t, s.arrived, "no more than MaxInFlight")
	close(s.release)
	for range cap(ends) {
		require.NoError(t, (<-ends).Error)
	}
	require.Equal(t, int64(1), conns.Load())
}

// TestGivenUpHTTPCallEndsItsRequest, and frees its place; one that waited for a place
// was not sent.
func TestGivenUpHTTPCallEndsItsRequest(t *testing.T) {
	t.Parallel()
	s := newWeb(t, nil, nil)
	d, conns := overHTTP(jsonhttp.Config{MaxInFlight: 1})
	c := dialWeb(t, d, s.addr())
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() { first <- c.CallContext(ctx, "Do.Wait", 1, new(int)) }()
	<-s.arrived

	short, end := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer end()
	err := callError(t, c.CallContext(short, "Do.Wait", 1, new(int)))
	require.True(t, err.Timeout())
	require.Equal(t, rpcx.NotSent, err.Sent)

	cancel()
	err = callError(t, <-first)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, rpcx.MaybeSent, err.Sent)
	<-s.left
	require.NoError(t, c.Call("Do.Fine", 1, new(int)))
	require.Empty(t, s.arrived, "what was given up before does not leave")
	require.Equal(t, int64(1), conns.Load())
	require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
}

// TestGivenUpCallOfGoEndsItsRequest is the same for a call without a waiting goroutine.
func TestGivenUpCallOfGoEndsItsRequest(t *testing.T) {
	t.Parallel()
	s := newWeb(t, nil, nil)
	d, conns := overHTTP(jsonhttp.Config{MaxInFlight: 1})
	d.CallTimeout = time.Second
	c := dialWeb(t, d, s.addr())
	call := <-c.Go("Do.Wait", 1, new(int), nil).Done
	require.ErrorIs(t, call.Error, context.DeadlineExceeded)
	<-s.left
	require.NoError(t, c.Call("Do.Fine", 1, new(int)))
	require.Equal(t, int64(1), conns.Load(), "the connection lives")
}

// TestFrozenHTTPServerIsConvicted although calls end without it all the time: that a
// call was given up is no sign of life. What never left goes elsewhere.
func TestFrozenHTTPServerIsConvicted(t *testing.T) {
	t.Parallel()
	var frozen atomic.Bool
	s := newWeb(t, nil, nil)
	s.frozen = &frozen
	d, _ := overHTTP(jsonhttp.Config{MaxInFlight: 1})
	convicted := make(chan struct{})
	var once sync.Once
	d.Trace.Suspicion = func(i rpcx.SuspicionInfo) {
		if i.Verdict == rpcx.Convicted || i.Verdict == rpcx.Spared {
			once.Do(func() { close(convicted) })
		}
	}
	ends := make(chan rpcx.Sent, 2)
	d.Trace.AttemptDone = func(_ context.Context, i rpcx.AttemptInfo) {
		if i.Method == "Do.Wait" && i.Attempt == 1 {
			ends <- i.Sent
		}
	}
	c := dialWeb(t, d, s.addr())
	require.NoError(t, c.Call("Do.Fine", 1, new(int)))
	require.Eventually(t, func() bool { return c.Stats().Endpoints[0].Pings == rpcx.PingsAnswered }, 20*time.Second, 10*time.Millisecond)
	frozen.Store(true)
	c.Go("Do.Wait", 1, new(int), nil)
	c.Go("Do.Wait", 1, new(int), nil)
	deadline := time.After(20 * time.Second)
	for over := false; !over; {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		require.Error(t, c.CallContext(ctx, "Do.Fine", 1, new(int)))
		cancel()
		select {
		case <-convicted:
			over = true
		case <-deadline:
			t.Fatal("a frozen server is trusted")
		default:
		}
	}
	require.ElementsMatch(t, []rpcx.Sent{rpcx.MaybeSent, rpcx.NotSent}, []rpcx.Sent{<-ends, <-ends}, "one had the place")
}

// TestHTTPServerThatIsGoneIsFoundIdle, and the calls that have their connections to it
// are not cut.
func TestHTTPServerThatIsGoneIsFoundIdle(t *testing.T) {
	t.Parallel()
	s := newWeb(t, nil, nil)
	d, conns := overHTTP(jsonhttp.Config{})
	c := dialWeb(t, d, s.addr())
	call := c.Go("Do.Wait", 1, new(int), nil)
	<-s.arrived
	require.NoError(t, s.Listener.Close())
	require.Eventually(t, func() bool { return c.Stats().Endpoints[0].State != breaker.Closed }, 20*time.Second, 10*time.Millisecond)
	require.ErrorIs(t, c.Call("Do.Fine", 1, new(int)), syscall.ECONNREFUSED)
	time.Sleep(4 * time.Second) // in which probes fail and a silent peer is convicted
	close(s.release)
	require.NoError(t, (<-call.Done).Error)
	require.Equal(t, int64(1), conns.Load())
}

// TestLocalFaultBlamesNoHTTPServer: out of file descriptors, a client says nothing of
// its servers.
func TestLocalFaultBlamesNoHTTPServer(t *testing.T) {
	t.Parallel()
	var fault atomic.Bool
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if fault.Load() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.EMFILE}
		}
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	s := newWeb(t, nil, nil)
	d, conns := overHTTP(jsonhttp.Config{Client: &http.Client{Transport: transport}})
	c := dialWeb(t, d, s.addr())
	require.NoError(t, c.Call("Do.Fine", 1, new(int)))
	fault.Store(true)
	for range 10 {
		err := callError(t, c.Call("Do.Fine", 1, new(int)))
		require.ErrorIs(t, err, syscall.EMFILE)
		require.Equal(t, rpcx.NotSent, err.Sent)
	}
	time.Sleep(5 * time.Second) // in which pings fail likewise, and a silent peer is convicted
	require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
	fault.Store(false)
	require.NoError(t, c.Call("Do.Fine", 1, new(int)))
	require.Equal(t, int64(1), conns.Load())
}

// TestNewClientOverHTTP: a codec that the user has made gives calls up as well.
func TestNewClientOverHTTP(t *testing.T) {
	t.Parallel()
	s := newWeb(t, map[string]http.HandlerFunc{"Fail": httpStatus(403, "", "")}, nil)
	conn, err := jsonhttp.NewConn(jsonhttp.Config{URL: s.URL, MaxInFlight: 1})
	require.NoError(t, err)
	c := rpcx.NewClientWithCodec(codec.NewJSON2Client(conn))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.CallContext(ctx, "Do.Wait", 1, new(int)), context.DeadlineExceeded)
	<-s.left
	var status *jsonhttp.StatusError
	require.True(t, errors.As(c.Call("Do.Fail", 1, new(int)), &status))
	require.NoError(t, c.Call("Do.Fine", 1, new(int)))
}

// What does not fit jsonhttp is an error of Dial that says what to change. The default codec
// once hung for 30 s, and HTTPPath took all of DialTimeout.
func TestDialOfWhatHTTPDoesNotCarry(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rpcx.Dialer)
		want   string
	}{
		"the default codec":       {func(d *rpcx.Dialer) { d.Codec = nil }, "jsonhttp carries JSON-RPC 2.0: set Dialer.Codec to codec.NewJSON2Client"},
		"gob":                     {func(d *rpcx.Dialer) { d.Codec = codec.NewGobClient }, "set Dialer.Codec to codec.NewJSON2Client"},
		"HTTPPath":                {func(d *rpcx.Dialer) { d.HTTPPath = "/rpc" }, "leave Dialer.HTTPPath empty with jsonhttp"},
		"TLSConfig":               {func(d *rpcx.Dialer) { d.TLSConfig = new(tls.Config) }, "leave Dialer.TLSConfig nil with jsonhttp"},
		"a codec around gob's":    {func(d *rpcx.Dialer) { d.Codec = hiddenGob }, ""},
		"a connection around its": {func(d *rpcx.Dialer) { d.Codec, d.NetDial = nil, hiding(d.NetDial) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := overHTTP(jsonhttp.Config{})
			d.DialTimeout, d.Retry.MaxAttempts = time.Hour, -1
			c.change(&d)
			client, err := d.Dial("tcp", newWeb(t, nil, nil).addr())
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				require.IsType(t, &net.OpError{}, err)
				return
			}
			require.NoError(t, err)
			defer client.Close()
			require.ErrorContains(t, client.Call("Do.Fine", 1, new(int)), "set Dialer.Codec to codec.NewJSON2Client")
		})
	}
}

func hiddenGob(rwc io.ReadWriteCloser) rpc.ClientCodec {
	return struct{ rpc.ClientCodec }{codec.NewGobClient(rwc)}
}

func hiding(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return struct{ net.Conn }{conn}, err
	}
}
