package jsonhttp

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"strings"
	"syscall"

	"resilientrpc/codec"
)

// This file explains why a Conn fails whose user, or whose server, does not speak
// JSON-RPC over HTTP, and says what to change.

// errCodec is for what a Conn does not carry.
var errCodec = errors.New("jsonhttp carries JSON-RPC 2.0: set Dialer.Codec to codec.NewJSON2Client")

// Carries implements codec.Carrier: a Conn does not carry gob. JSON-RPC 1.0 fits where the
// server accepts it.
func (c *Conn) Carries(client rpc.ClientCodec) error {
	if codec.IsGob(client) {
		return errCodec
	}
	return nil
}

// foreign returns why the beginning of a line cannot be that of a request, or nil.
func foreign(line []byte) error {
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0 || line[0] == '{' || line[0] == '[':
		return nil
	case bytes.HasPrefix(line, []byte("CONNECT ")):
		return errors.New("leave Dialer.HTTPPath empty with jsonhttp, whose path is in Config.URL")
	case bytes.HasPrefix(line, []byte("\x16\x03")):
		return errors.New("leave Dialer.TLSConfig nil with jsonhttp: write https in Config.URL, and set Config.Client for a configuration of TLS")
	}
	return errCodec
}

// explained is the error of an exchange that net/http has ended with err. A server that has
// answered before speaks HTTP.
func (c *Conn) explained(err error) error {
	err = withoutURL(err)
	if c.answered.Load() || c.ctx.Err() != nil {
		return fmt.Errorf("jsonhttp: %w", err)
	}
	if text := explanation(err, c.url.Scheme == "https"); text != "" {
		return fmt.Errorf("jsonhttp: %w; %s", err, text)
	}
	return fmt.Errorf("jsonhttp: %w", err)
}

func explanation(err error, secure bool) string {
	var record tls.RecordHeaderError
	malformed := strings.Contains(err.Error(), "malformed HTTP ") // net/http has no type for it
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server has no TLS: write http in Config.URL"
	case errors.As(err, &record):
		return "the server does not speak TLS: write http in Config.URL, or check the address"
	case malformed && strings.Contains(err.Error(), `"\x15\x03`): // an alert
		return "the server is a TLS server: write https in Config.URL"
	case malformed:
		return "the server does not speak HTTP: leave Dialer.NetDial nil for JSON-RPC without HTTP, or check the address"
	case hungUp(err) && secure:
		return "the server has never answered: one without TLS (write http in Config.URL) or without HTTP (leave Dialer.NetDial nil) " +
			"ends the connection like that, and so does a proxy without a server behind it"
	case hungUp(err):
		return "the server has never answered: one without HTTP (leave Dialer.NetDial nil) or a TLS server (write https in Config.URL) " +
			"ends the connection like that, and so does a proxy without a server behind it"
	}
	return ""
}

// hungUp reports whether the server has ended the connection. It is net.ErrClosed, or an
// error without a type, if net/http has seen that before it wrote.
func hungUp(err error) bool {
	if strings.Contains(err.Error(), "server closed idle connection") {
		return true
	}
	for _, end := range [...]error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE,
		syscall.Errno(10053), syscall.Errno(10054), // Windows' WSAECONNABORTED and WSAECONNRESET
	} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}
