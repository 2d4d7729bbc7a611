package rpcx

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
)

// connect makes one connection: dial, TLS, and CONNECT as asked for. TLS knows the
// server as host; if that is empty, as the host of the address.
func (d *Dialer) connect(ctx context.Context, network, address, host string) (conn net.Conn, err error) {
	function := "NetDial" // the one of the Dialer's that is running
	defer func() {
		if p := recover(); p != nil {
			if !isNil(conn) {
				discard(conn)
			}
			conn, err = nil, &net.OpError{Op: "dial", Net: network, Err: panicked(function, p)}
		}
	}()
	conn, err = d.NetDial(ctx, network, address)
	if err != nil {
		return nil, mismatch.Path(network, address, err)
	}
	if isNil(conn) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &functionError{field: function, fault: "returned neither a connection nor an error"}}
	}
	if d.TLSConfig != nil {
		function = "TLSConfig"
		conn = tls.Client(conn, d.tlsConfig(address, host))
	}
	stop := context.AfterFunc(ctx, interrupting(conn))
	err = d.handshake(ctx, conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		discard(conn)
		if d.HTTPPath != "" { // as in net/rpc
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

// discard closes a connection that is not used. Whatever comes of that, panics included,
// does not matter any more.
func discard(conn net.Conn) {
	defer func() { recover() }() //nolint:errcheck // see above
	conn.Close()
}

func (d *Dialer) tlsConfig(address, host string) *tls.Config {
	if d.TLSConfig.ServerName != "" {
		return d.TLSConfig
	}
	cfg := d.TLSConfig.Clone()
	cfg.ServerName = host
	if host, _, err := net.SplitHostPort(address); err == nil && cfg.ServerName == "" {
		cfg.ServerName = host
	}
	return cfg
}

func (d *Dialer) handshake(ctx context.Context, conn net.Conn) error {
	if t, ok := conn.(*tls.Conn); ok {
		if err := t.HandshakeContext(ctx); err != nil {
			return mismatch.Handshake(mismatch.Late(ctx, "TLS handshake", err))
		}
	}
	if d.HTTPPath == "" {
		return nil
	}
	if _, err := io.WriteString(conn, "CONNECT "+d.HTTPPath+" HTTP/1.0\n"+mismatch.UserAgent+"\n"); err != nil {
		return mismatch.Connect(d.HTTPPath, 0, nil, mismatch.Late(ctx, "answer to CONNECT", err))
	}
	in := bufio.NewReader(conn)
	in.Peek(1)                                   //nolint:errcheck // reading the response returns it
	received, _ := in.Peek(in.Buffered())        // they are there
	if len(received) > 0 && received[0] != 'H' { // it may never send a whole line
		return mismatch.Connect(d.HTTPPath, 0, received, fmt.Errorf("malformed HTTP response %.40q", received))
	}
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return mismatch.Connect(d.HTTPPath, 0, received, mismatch.Late(ctx, "answer to CONNECT", err))
	}
	if resp.Status != "200 Connected to Go RPC" {
		return mismatch.Connect(d.HTTPPath, resp.StatusCode, received, errors.New("unexpected HTTP response: "+resp.Status))
	}
	return nil
}
