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
// The dialed address, with or without a port, replaces the host of cfg.URL, which may be
// empty. Configure TLS by cfg.Client: with TLSConfig or HTTPPath of rpcx.Dialer, or without
// its Codec, dialing fails. A Conn connects at its first request, so the function returns an
// error only if cfg is invalid or the network is not TCP. It may be called concurrently.
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
