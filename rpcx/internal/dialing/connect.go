// Package dialing makes the connections of a client: it checks addresses, dials, and does
// the handshakes of TLS and of HTTP CONNECT.
//
// A connection that is made is ready for a codec; one that is made in vain is closed. A
// function of the user's that panics, or returns nothing, is an error of package rescue, and
// one that does not return is left to itself. Every other goroutine that the package starts
// ends soon after the context of its dial. It must not import rpcx, a pillar, or transport: it
// knows no Client, endpoint, call or codec. What it imports is resolver, for the type of an
// endpoint and the addresses that stand for a resolver, and the internal packages hostport,
// mismatch and rescue.
package dialing

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"resilientrpc/rpcx/internal/mismatch"
	"resilientrpc/rpcx/internal/rescue"
)

// Options says how connections are made.
type Options struct {
	NetDial   func(ctx context.Context, network, address string) (net.Conn, error)
	TLSConfig *tls.Config // nil for no TLS
	HTTPPath  string      // of the CONNECT request; empty for none
}

// Connect makes one connection: dial, TLS, and CONNECT as asked for. TLS knows the
// server as host; if that is empty, as the host of the address.
func (o *Options) Connect(ctx context.Context, network, address, host string) (conn net.Conn, err error) {
	function := "NetDial" // the one of the Dialer's that is running
	defer func() {
		if p := recover(); p != nil {
			if !rescue.IsNil(conn) {
				Discard(conn)
			}
			conn, err = nil, &net.OpError{Op: "dial", Net: network, Err: rescue.Panicked(function, p)}
		}
	}()
	conn, err = o.NetDial(ctx, network, address)
	if err != nil {
		return nil, mismatch.Path(network, address, err)
	}
	if rescue.IsNil(conn) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &rescue.Error{Field: function, Fault: "returned neither a connection nor an error"}}
	}
	if o.TLSConfig != nil {
		function = "TLSConfig"
		conn = tls.Client(conn, o.tlsConfig(address, host))
	}
	stop := context.AfterFunc(ctx, interrupting(conn))
	err = o.handshake(ctx, conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		Discard(conn)
		if o.HTTPPath != "" { // as in net/rpc
			return nil, &net.OpError{Op: "dial-http", Net: network + " " + address, Err: err}
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: conn.RemoteAddr(), Err: err}
	}
	return conn, nil
}

// interrupting returns what ends a handshake, if the connection has deadlines.
func interrupting(conn net.Conn) func() {
	return func() {
		defer func() { recover() }()      //nolint:errcheck // it may have none
		conn.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // likewise
	}
}

// Discard closes a connection that is not used. Whatever comes of that, panics included,
// does not matter any more.
func Discard(conn net.Conn) {
	defer func() { recover() }() //nolint:errcheck // see above
	conn.Close()
}

func (o *Options) tlsConfig(address, host string) *tls.Config {
	if o.TLSConfig.ServerName != "" {
		return o.TLSConfig
	}
	cfg := o.TLSConfig.Clone()
	cfg.ServerName = host
	if host, _, err := net.SplitHostPort(address); err == nil && cfg.ServerName == "" {
		cfg.ServerName = host
	}
	return cfg
}

func (o *Options) handshake(ctx context.Context, conn net.Conn) error {
	if t, ok := conn.(*tls.Conn); ok {
		if err := t.HandshakeContext(ctx); err != nil {
			return mismatch.Handshake(mismatch.Late(ctx, "TLS handshake", err))
		}
	}
	if o.HTTPPath == "" {
		return nil
	}
	if _, err := io.WriteString(conn, "CONNECT "+o.HTTPPath+" HTTP/1.0\n"+mismatch.UserAgent+"\n"); err != nil {
		return mismatch.Connect(o.HTTPPath, 0, nil, mismatch.Late(ctx, "answer to CONNECT", err))
	}
	in := bufio.NewReader(conn)
	in.Peek(1)                                   //nolint:errcheck // reading the response returns it
	received, _ := in.Peek(in.Buffered())        // they are there
	if len(received) > 0 && received[0] != 'H' { // it may never send a whole line
		return mismatch.Connect(o.HTTPPath, 0, received, fmt.Errorf("malformed HTTP response %.40q", received))
	}
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return mismatch.Connect(o.HTTPPath, 0, received, mismatch.Late(ctx, "answer to CONNECT", err))
	}
	if resp.Status != "200 Connected to Go RPC" {
		return mismatch.Connect(o.HTTPPath, resp.StatusCode, received, errors.New("unexpected HTTP response: "+resp.Status))
	}
	return nil
}
