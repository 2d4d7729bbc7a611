// Package dnsttl lets net.Resolver tell for how long an answer holds.
//
// net.Resolver returns records without their TTL. It lets its user make the
// connections to the name servers, though, so the responses can be read as they
// pass: the lookup stays net's own, with resolv.conf, hosts file, search list and
// the change to TCP for long answers, and no other resolver is needed.
package dnsttl

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// A TTL is the smallest one of all answers that a resolver has received. Its
// methods may be called concurrently.
type TTL struct {
	mu    sync.Mutex // protects following
	least time.Duration
	known bool
}

// Least returns the smallest TTL so far, and false if there was none: the name was
// found in the hosts file, is an address itself, or was not found.
func (t *TTL) Least() (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.least, t.known
}

// see reads a response. It may be a forged one, which net is going to drop: the
// worst that comes of it is a TTL that is too small.
func (t *TTL) see(msg []byte) {
	ttl, ok := least(msg)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known || ttl < t.least {
		t.least, t.known = ttl, true
	}
}

// Resolver returns a resolver of Go's own kind on every system, and the TTL of what
// it looks up. It asks through connections that dial makes. When a lookup's context
// ends, so does the lookup, which net's own would let run into its timeout.
func Resolver(dial func(ctx context.Context, network, address string) (net.Conn, error)) (*net.Resolver, *TTL) {
	ttl := new(TTL)
	return &net.Resolver{
		PreferGo: true,
		// A part of the answer, or the answer for a name of the search list that is
		// not first, must not pass for the whole when there was a failure before.
		StrictErrors: true,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, func() { // net cancels it after each exchange
				if errors.Is(ctx.Err(), context.Canceled) { // else net's deadline for conn has passed
					conn.Close()
				}
			})
			if p, ok := conn.(packetConn); ok {
				return &packets{p, ttl}, nil
			}
			return &stream{Conn: conn, ttl: ttl}, nil
		},
	}, ttl
}

// packetConn is what net takes for a connection of packets: one message each.
type packetConn interface {
	net.Conn
	net.PacketConn
}

type packets struct {
	packetConn
	ttl *TTL
}

func (p *packets) Read(b []byte) (int, error) {
	n, err := p.packetConn.Read(b)
	if err == nil {
		p.ttl.see(b[:n])
	}
	return n, anonymous(err)
}

// stream is a connection where a length comes before each message. One goroutine
// reads from it.
type stream struct {
	net.Conn
	ttl  *TTL
	read []byte // of the message that is under way, its length included
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.read = append(s.read, b[:n]...)
	for len(s.read) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(s.read))
		if len(s.read) < end {
			break
		}
		s.ttl.see(s.read[2:end])
		s.read = s.read[end:]
	}
	return n, anonymous(err)
}

// anonymous leaves the local port, another each time, out of an error, so that the
// same failure reads the same.
func anonymous(err error) error {
	if e, ok := err.(*net.OpError); ok { //nolint:errorlint // as it comes from package net
		stripped := *e
		stripped.Source = nil
		return &stripped
	}
	return err
}
