package mismatch

import (
	"context"
	cryptotls "crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"
)

// DialTimeout is the field of the Dialer, as the cause of a context that it ends.
type DialTimeout time.Duration

func (d DialTimeout) Error() string {
	return fmt.Sprintf("within Dialer.DialTimeout (%v)", time.Duration(d))
}

// Unwrap returns context.DeadlineExceeded.
func (d DialTimeout) Unwrap() error { return context.DeadlineExceeded }

// Late returns the error of a handshake that has failed with err. If it was out of time, and
// the cause of its context is a DialTimeout, the text says what has not come within that.
func Late(ctx context.Context, awaited string, err error) error {
	late := &Error{Err: err, Instead: true}
	limit, ok := context.Cause(ctx).(DialTimeout) //nolint:errorlint // it is the cause itself
	if !ok || !late.Timeout() {
		return err
	}
	late.Explanation = "no " + awaited + " " + limit.Error()
	return late
}

// Path returns the error of a dial of address that has failed with err, with an explanation
// if the address is a list of paths of Unix sockets.
func Path(network, address string, err error) error {
	op, ok := err.(*net.OpError) //nolint:errorlint // an error around it is NetDial's own
	if !ok || !strings.HasPrefix(network, "unix") || !strings.Contains(address, ",") || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	explained := *op
	explained.Err = &Error{Explanation: "a path is not split at commas: to list sockets, give Dialer.Dial an argument for each", Err: op.Err}
	return &explained
}

// Handshake adds an explanation to the error of a client's TLS handshake, if the peer does
// not speak TLS.
func Handshake(err error) error {
	var record cryptotls.RecordHeaderError
	switch {
	case errors.As(err, &record) && protocolOf(record.RecordHeader[:]) == http:
		return &Error{"the peer is an HTTP server without TLS: check the address, or leave Dialer.TLSConfig nil", true, true, err}
	case errors.As(err, &record) && !isTLS(record.RecordHeader[:]):
		return &Error{"the peer does not speak TLS: leave Dialer.TLSConfig nil", true, true, err}
	case hungUp(err):
		return &Error{"a server without TLS (leave Dialer.TLSConfig nil) ends the connection like that in the handshake, and so does a proxy without a server behind it", false, false, err}
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
		return &Error{fmt.Sprintf("the HTTP server has nothing at %s: set Dialer.HTTPPath to the path that it serves net/rpc at", path), true, false, err}
	case status != 0:
		return &Error{fmt.Sprintf("what the HTTP server has at %s is no net/rpc: set Dialer.HTTPPath to the path that it serves net/rpc at", path), true, false, err}
	case peer == tls:
		return &Error{"the peer is a TLS server: set Dialer.TLSConfig", true, true, err}
	case peer.isJSON():
		return &Error{"the peer speaks JSON-RPC, and not HTTP: leave Dialer.HTTPPath empty and set Dialer.Codec", true, true, err}
	case peer == nothing && hungUp(err):
		return &Error{"a net/rpc server without HTTP (leave Dialer.HTTPPath empty) or a TLS server (set Dialer.TLSConfig) " +
			"ends the connection like that when it is sent CONNECT, and so does a proxy without a server behind it", false, false, err}
	case peer != nothing && peer != http:
		return &Error{fmt.Sprintf("the peer is no HTTP server, its first bytes are %.40q: check the address", received), true, true, err}
	}
	return err
}
