package rpcx_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/gob"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	stdjson "net/rpc/jsonrpc"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
	"resilientrpc/rpcx/internal/mismatch"
	"resilientrpc/rpcx/internal/protocol"
)

// A misfit is a client at a server of another protocol.
type misfit struct {
	client, server string
	text           string // of the explanation; … stands for anything
	seen           bool   // the server has sent what proves it
	method         bool   // the error is one of the server's, which answers
}

const (
	closesGob  = "the peer has never answered: a JSON-RPC server (set Dialer.Codec) or a TLS server (set Dialer.TLSConfig) ends the connection like that when it is sent gob, and so does a proxy without a server behind it"
	closesJSON = "the peer has never answered: a gob server (leave Dialer.Codec nil) or a TLS server (set Dialer.TLSConfig) ends the connection like that when it is sent JSON, and so does a proxy without a server behind it"
	closesTLS  = "a server without TLS (leave Dialer.TLSConfig nil) ends the connection like that in the handshake, and so does a proxy without a server behind it"
	closesHTTP = "a net/rpc server without HTTP (leave Dialer.HTTPPath empty) or a TLS server (set Dialer.TLSConfig) ends the connection like that when it is sent CONNECT, and so does a proxy without a server behind it"
	isHTTP     = "the peer is an HTTP server: if it serves net/rpc (rpc.HandleHTTP), set Dialer.HTTPPath or use DialHTTP"
	isJSONHTTP = "the peer is an HTTP server: for JSON-RPC over HTTP use package codec/jsonhttp"
	isJSON2    = "the peer speaks JSON-RPC 2.0: set Dialer.Codec to codec.NewJSON2Client"
	isTLS      = "the peer is a TLS server: set Dialer.TLSConfig"
	isOther    = "the peer's first bytes are …, and no reply: check the address"
	wrongPath  = "the HTTP server has nothing at …: set Dialer.HTTPPath to the path that it serves net/rpc at"
)

var misfits = []misfit{
	{"gob", "HTTP", isHTTP, true, false},
	{"gob", "JSON 1", closesGob, false, false},
	{"gob", "JSON 1 that answers", "the peer speaks JSON-RPC: set Dialer.Codec to codec.NewJSONClient", true, false},
	{"gob", "JSON 2", isJSON2, true, false},
	{"gob", "TLS", closesGob, false, false},
	{"gob", "TLS that answers", isTLS, true, false},
	{"gob", "mail", isOther, true, false},
	{"JSON 1", "gob", closesJSON, false, false},
	{"JSON 1", "Serve", closesJSON, false, false},
	{"JSON 1", "HTTP", isJSONHTTP, true, false},
	{"JSON 1", "JSON 2", "if the server speaks JSON-RPC 2.0, use codec.NewJSON2Client", false, true},
	{"JSON 1", "TLS", closesJSON, false, false},
	{"JSON 1", "TLS that answers", isTLS, true, false},
	{"JSON 1", "mail", isOther, true, false},
	{"stock JSON 1", "gob", closesJSON, false, false},
	{"stock JSON 1", "HTTP", isJSONHTTP, true, false},
	{"stock JSON 1", "JSON 2", isJSON2, true, false},
	{"JSON 2", "gob", closesJSON, false, false},
	{"JSON 2", "HTTP", isJSONHTTP, true, false},
	{"JSON 2", "JSON 1", "if the server speaks JSON-RPC 1.0, use codec.JSON2{Wrap: true}.NewClient", false, true},
	{"TLS", "gob", closesTLS, false, false},
	{"TLS", "JSON 1", closesTLS, false, false},
	{"TLS", "JSON 2", "the peer does not speak TLS: leave Dialer.TLSConfig nil", true, false},
	{"TLS", "HTTP", "the peer is an HTTP server without TLS: check the address, or leave Dialer.TLSConfig nil", true, false},
	{"HTTPPath", "gob", closesHTTP, false, false},
	{"HTTPPath", "Serve", closesHTTP, false, false},
	{"HTTPPath", "JSON 1", closesHTTP, false, false},
	{"HTTPPath", "JSON 2", "the peer speaks JSON-RPC, and not HTTP: leave Dialer.HTTPPath empty and set Dialer.Codec", true, false},
	{"HTTPPath", "TLS", closesHTTP, false, false},
	{"HTTPPath", "HTTPS", closesHTTP, false, false},
	{"HTTPPath", "TLS that answers", isTLS, true, false},
	{"HTTPPath", "HTTP without RPC", wrongPath, true, false},
	{"HTTPPath", "website", "what the HTTP server has at … is no net/rpc: set Dialer.HTTPPath to the path that it serves net/rpc at", true, false},
	{"HTTPPath", "mail", "the peer is no HTTP server, its first bytes are …: check the address", true, false},
	{"wrong HTTPPath", "HTTP", wrongPath, true, false},
}

// registerGob makes the types of these tests known to package gob, whose decoder has a
// data race between a type that is new and a stream that is not gob.
var registerGob sync.Once

// misfitServers has the standard library's servers, and some that it has not.
type misfitServers struct {
	*rpc.Server
	clientTLS, serverTLS *tls.Config
}

func newMisfitServers(t *testing.T) *misfitServers {
	registerGob.Do(func() {
		for _, v := range []any{rpc.Request{}, rpc.Response{}, protocol.Health{}, struct{}{}, Deposit{}} {
			require.NoError(t, gob.NewEncoder(io.Discard).Encode(v))
		}
	})
	s := &misfitServers{Server: rpc.NewServer()}
	require.NoError(t, s.RegisterName("Bank", &Bank{ledger: &ledger{runs: make(map[int]int)}}))
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	s.clientTLS = &tls.Config{RootCAs: roots, ServerName: "example.com"}
	s.serverTLS = &tls.Config{Certificates: web.TLS.Certificates}
	return s
}

// start starts a server and returns its address.
func (s *misfitServers) start(t *testing.T, name string) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := lis.Addr().String()
	mux := http.NewServeMux()
	web := &http.Server{Handler: mux, ReadHeaderTimeout: time.Hour} // it waits
	t.Cleanup(func() { web.Close(); lis.Close() })
	switch name {
	case "gob":
		go acceptAll(lis, func(c net.Conn) { s.ServeConn(c) })
	case "Serve":
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		t.Cleanup(func() { cancel(); <-done })
		go func() {
			defer close(done)
			rpcx.Serve(ctx, lis, s.Server, codec.NewGobServer) //nolint:errcheck // the test's client says what is wrong
		}()
	case "JSON 1":
		go acceptAll(lis, func(c net.Conn) { s.ServeCodec(stdjson.NewServerCodec(c)) })
	case "JSON 1 that answers":
		go acceptAll(lis, answersOnce(`{"id":null,"result":null,"error":"what?"}`))
	case "JSON 2": // the standard library has none
		go acceptAll(lis, func(c net.Conn) { s.ServeCodec(codec.NewJSON2Server(c)) })
	case "TLS":
		go acceptAll(tls.NewListener(lis, s.serverTLS), func(c net.Conn) { s.ServeConn(c) })
	case "TLS that answers": // as OpenSSL does, by an alert
		go acceptAll(lis, answersOnce("\x15\x03\x01\x00\x02\x02\x46"))
	case "HTTP":
		mux.Handle(rpc.DefaultRPCPath, s)
		go web.Serve(lis) //nolint:errcheck // it is closed
	case "HTTPS":
		mux.Handle(rpc.DefaultRPCPath, s)
		go web.Serve(tls.NewListener(lis, s.serverTLS)) //nolint:errcheck // likewise
	case "HTTP without RPC":
		go web.Serve(lis) //nolint:errcheck // likewise
	case "website":
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "welcome") }) //nolint:errcheck // the test fails without
		go web.Serve(lis)                                                                                  //nolint:errcheck // likewise
	case "mail":
		go acceptAll(lis, func(c net.Conn) {
			io.WriteString(c, "220 mail.example.com ESMTP\r\n") //nolint:errcheck // the test fails without
			io.Copy(io.Discard, c)                              //nolint:errcheck // until the client hangs up
			c.Close()
		})
	default:
		t.Fatal(name)
	}
	return address
}

func acceptAll(lis net.Listener, serve func(net.Conn)) {
	for {
		c, err := lis.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}

// answersOnce serves a connection with one answer to the first bytes that come, whatever
// they are, and waits for the client to hang up.
func answersOnce(text string) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 1<<10)) //nolint:errcheck // the test fails without
		io.WriteString(c, text)     //nolint:errcheck // likewise
		io.Copy(io.Discard, c)      //nolint:errcheck // likewise
		c.Close()
	}
}

func (s *misfitServers) dialer(name string) rpcx.Dialer {
	d := map[string]rpcx.Dialer{
		"JSON 1":         {Codec: codec.NewJSONClient},
		"stock JSON 1":   {Codec: stdjson.NewClientCodec},
		"JSON 2":         {Codec: codec.NewJSON2Client},
		"TLS":            {TLSConfig: s.clientTLS},
		"HTTPPath":       {HTTPPath: rpc.DefaultRPCPath},
		"wrong HTTPPath": {HTTPPath: "/elsewhere"},
	}[name]
	d.Retry.MaxAttempts = -1
	return d
}

// fail returns the error of dialing, or of the first call.
func (m *misfit) fail(t *testing.T, s *misfitServers, call func(*rpcx.Client) error) (err error, dial bool) { //nolint:staticcheck // dial says whose error it is
	d := s.dialer(m.client)
	c, err := d.Dial("tcp", s.start(t, m.server))
	if err != nil {
		return err, true
	}
	defer c.Close()
	return call(c), false
}

// The error of a client at a server of another protocol says what to change, and has the
// failure in it.
func TestMismatchesNameTheRemedy(t *testing.T) {
	for _, m := range misfits {
		t.Run(m.client+" at "+m.server, func(t *testing.T) {
			t.Parallel()
			s := newMisfitServers(t)
			err, dial := m.fail(t, s, func(c *rpcx.Client) error {
				return c.CallContext(context.Background(), "Bank.Deposit", Deposit{}, new(int))
			})
			require.Regexp(t, m.pattern(), err)
			require.NotContains(t, err.Error(), "\n")
			if m.method {
				require.IsType(t, &codec.Error{}, err)
				return
			}
			var why *mismatch.Error
			require.ErrorAs(t, err, &why)
			require.Equal(t, m.seen, why.Seen)
			require.Error(t, why.Err)
			if m.seen && !dial { // the text of the decoder says nothing
				require.Regexp(t, "^rpcx: Bank.Deposit at [^ ]+: "+m.pattern(), err)
			}
			if dial {
				require.IsType(t, &net.OpError{}, err, "as from net/rpc")
			}
		})
	}
}

func (m *misfit) pattern() string {
	return strings.ReplaceAll(regexp.QuoteMeta(m.text), "…", ".+")
}

// Call returns what net/rpc's does if the peer has only ended the connection, and what it
// has said otherwise.
func TestCallReturnsTheBareEndOfAMismatch(t *testing.T) {
	for _, m := range misfits {
		t.Run(m.client+" at "+m.server, func(t *testing.T) {
			t.Parallel()
			err, dial := m.fail(t, newMisfitServers(t), func(c *rpcx.Client) error {
				return c.Call("Bank.Deposit", Deposit{}, new(int))
			})
			switch {
			case dial || m.method:
			case m.seen:
				require.IsType(t, &rpcx.CallError{}, err)
				require.Regexp(t, m.pattern(), err)
			default:
				require.True(t, isDisconnected(err), "%T %v", err, err)
			}
		})
	}
}

// A server that accepts and says nothing costs Dial its DialTimeout. The error says what did
// not come in that time, and not only that a deadline has passed, of which the user has none.
func TestHandshakesThatTakeTooLong(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	s := newMisfitServers(t)
	for client, awaited := range map[string]string{"TLS": "TLS handshake", "HTTPPath": "answer to CONNECT"} {
		d := s.dialer(client)
		d.DialTimeout = 200 * time.Millisecond
		_, err := d.Dial("tcp", lis.Addr().String())
		require.Regexp(t, "^dial[^:]* tcp [^ ]+: no "+awaited+` within Dialer\.DialTimeout \(200ms\)$`, err)
		require.IsType(t, &net.OpError{}, err, "as from net/rpc")
		require.True(t, err.(net.Error).Timeout(), client) //nolint:errorlint // see above
		require.True(t, errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded), client)
	}
}

// Every row of the documentation is one that the tests have, and the other way round.
func TestMismatchTable(t *testing.T) {
	page, err := os.ReadFile("../docs/troubleshooting.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(page), "## The two ends speak different protocols")
	table, _, _ = strings.Cut(table, "\n#")
	var rows, texts []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		rows = append(rows, row[1])
	}
	known := make(map[string]bool)
	for _, m := range misfits {
		if !known[m.text] {
			known[m.text] = true
			texts = append(texts, m.text)
		}
	}
	require.ElementsMatch(t, texts, rows)
}

// A peer that has answered over another connection speaks the same protocol: when it ends
// one, it is not explained.
func TestAPeerThatHasAnsweredIsNoMismatch(t *testing.T) {
	leak.Check(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	s := newMisfitServers(t)
	refuse, refused := make(chan struct{}), make(chan struct{}, 1)
	go acceptAll(lis, func(c net.Conn) {
		defer c.Close()
		select {
		case <-refuse:
			c.Read(make([]byte, 1<<10)) //nolint:errcheck // a request
			refused <- struct{}{}
		default:
			go func() { <-refuse; c.Close() }()
			s.ServeConn(c)
		}
	})
	d := rpcx.Dialer{Heartbeat: -1, Retry: rpcx.Retry{MaxAttempts: -1}}
	c, err := d.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Call("Bank.Where", struct{}{}, new(string)))
	close(refuse)
	for closed := false; !closed; { // the first calls may be on the connection that is about to be closed
		err = c.CallContext(t.Context(), "Bank.Where", struct{}{}, new(string))
		select {
		case <-refused:
			closed = true
		default:
		}
	}
	var call *rpcx.CallError
	require.ErrorAs(t, err, &call)
	require.True(t, isDisconnected(call.Err), "%v", err)
}
