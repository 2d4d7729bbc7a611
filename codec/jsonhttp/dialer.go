package jsonhttp

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Dialer returns a function that makes Conns, for the field NetDial of package rpcx's
// Dialer:
//
//	d := rpcx.Dialer{
//		Codec:   codec.NewJSON2Client,
//		NetDial: jsonhttp.Dialer(jsonhttp.Config{URL: "https:///rpc"}),
//	}
//	client, err := d.Dial("tcp", "calc-1:8443,calc-2:8443")
//
// The address that is dialed takes the place of the host of cfg.URL, which may be empty; it
// need not have a port. All else is as cfg says, also TLS, by its Client: with TLSConfig or
// HTTPPath, or without a Codec, dialing with the rpcx.Dialer fails. A Conn does not connect before
// its first request, so that the function fails only if cfg or the network, which must be
// one of TCP, is wrong. It may be called concurrently.
func Dialer(cfg Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(_ context.Context, network, address string) (net.Conn, error) {
		if !strings.HasPrefix(network, "tcp") {
			return nil, fmt.Errorf("jsonhttp: the network is %q, want tcp", network)
		}
		u, err := url.Parse(cfg.URL)
		if err != nil {
			return nil, fmt.Errorf("jsonhttp: Config.URL: %w", withoutURL(err))
		}
		u.Host = address
		of := cfg
		of.URL = u.String()
		conn, err := NewConn(of)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
}
