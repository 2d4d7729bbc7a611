package main

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// A countingConn counts the bytes that pass it, in both directions.
type countingConn struct {
	net.Conn
	n *atomic.Int64
}

// Read implements io.Reader.
func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// Write implements io.Writer.
func (c countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// wireBytes returns the bytes of a call and its reply on the socket, among all that the
// connection carries meanwhile: frames, acknowledgements, pings. They are those of a
// client of its own, for a connection that counts is not the one that is fast.
func wireBytes(ctx context.Context, c contender, addrs []string, callers, size int, length time.Duration) (_ float64, err error) {
	var n atomic.Int64
	client, err := c.open(addrs, options{patience: endless, netDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return countingConn{conn, &n}, nil
	}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	// The first calls make streams, and describe types and headers.
	if _, err := drive(ctx, client, callers, size, 0); err != nil {
		return 0, err
	}
	before := n.Load()
	calls, err := drive(ctx, client, callers, size, length)
	return float64(n.Load()-before) / float64(calls), err
}
