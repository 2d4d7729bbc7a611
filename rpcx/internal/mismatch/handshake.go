package mismatch

import (
	cryptotls "crypto/tls"
	"errors"
	"fmt"
)

// Handshake adds an explanation to the error of a client's TLS handshake, if the peer does
// not speak TLS.
func Handshake(err error) error {
	var record cryptotls.RecordHeaderError
	switch {
	case errors.As(err, &record) && protocolOf(record.RecordHeader[:]) == http:
		return &Error{"the peer is an HTTP server without TLS: check the address, or leave Dialer.TLSConfig nil", true, err}
	case errors.As(err, &record) && !isTLS(record.RecordHeader[:]):
		return &Error{"the peer does not speak TLS: leave Dialer.TLSConfig nil", true, err}
	case hungUp(err):
		return &Error{"a server without TLS ends the connection like that in the handshake: leave Dialer.TLSConfig nil if it has none", false, err}
	}
	return err
}

// UserAgent is a header for CONNECT. It makes the request longer than 67 bytes, which a gob
// server waits for: it reads the letter C as the length of a message. After 67 bytes the
// server closes the connection.
const UserAgent = "User-Agent: resilientrpc/rpcx (net/rpc over HTTP)\n"

// Connect adds an explanation to the error of a CONNECT to path: by the status code or, if
// that is 0, by the first bytes received.
func Connect(path string, status int, received []byte, err error) error {
	switch peer := protocolOf(received); {
	case status == 404:
		return &Error{fmt.Sprintf("the HTTP server has nothing at %s: set Dialer.HTTPPath to the path that it serves net/rpc at", path), true, err}
	case status != 0:
		return &Error{fmt.Sprintf("what the HTTP server has at %s is no net/rpc: set Dialer.HTTPPath to the path that it serves net/rpc at", path), true, err}
	case peer == tls:
		return &Error{"the peer is a TLS server: set Dialer.TLSConfig", true, err}
	case peer.isJSON():
		return &Error{"the peer speaks JSON-RPC, and not HTTP: leave Dialer.HTTPPath empty and set Dialer.Codec", true, err}
	case peer == nothing && hungUp(err):
		return &Error{"a net/rpc server without HTTP (leave Dialer.HTTPPath empty) or a TLS server (set Dialer.TLSConfig) " +
			"ends the connection like that when it is sent CONNECT", false, err}
	case peer != nothing && peer != http:
		return &Error{fmt.Sprintf("the peer is no HTTP server, its first bytes are %.40q: check the address", received), true, err}
	}
	return err
}
