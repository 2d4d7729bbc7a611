// Package dnsttl lets net.Resolver tell for how long an answer holds, and for which
// names it has asked.
//
// net.Resolver returns records without either. It lets its user make the
// connections to the name servers, though, so the responses can be read as they
// pass: the lookup stays net's own, with resolv.conf, hosts file, search list and
// the change to TCP for long answers, and no other resolver is needed.
package dnsttl

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// An Observer reads what passes between a resolver and its name servers. Its methods
// may be called concurrently.
type Observer struct {
	mu    sync.Mutex // protects following
	least time.Duration
	known bool
	asked map[uint16][]string // names by type of the question, each once, in order
	none  map[string]bool     // names that do not exist
}

// Least returns the smallest TTL of all answers so far, and false if there was none:
// the name was found in the hosts file, is an address itself, or was not found.
func (o *Observer) Least() (time.Duration, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.least, o.known
}

// Asked returns the names that have been asked for with a question of the given type,
// as they are in a message. With a search list there may be several: a lookup asks for
// one after the other, and ends with the first that has an answer.
func (o *Observer) Asked(kind uint16) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked[kind])
}

// NoSuchName reports whether a name, as Asked returns it, does not exist (RFC 8020):
// it has no records of any type.
func (o *Observer) NoSuchName(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.none[name]
}

// query reads a query.
func (o *Observer) query(msg []byte) {
	name, kind, ok := question(msg)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(o.asked[kind], name) { // it may be repeated, or go to several servers
		o.asked[kind] = append(o.asked[kind], name)
	}
}

// response reads a response. It may be a forged one, which net is going to drop: the
// worst that comes of it is a TTL that is too small, or a name that is not waited for.
func (o *Observer) response(msg []byte) {
	ttl, ok := least(msg)
	name, none := noSuchName(msg)
	o.mu.Lock()
	defer o.mu.Unlock()
	if none {
		o.none[name] = true
	}
	if ok && (!o.known || ttl < o.least) {
		o.least, o.known = ttl, true
	}
}

// Resolver returns a resolver of Go's own kind on every system, and an observer of what
// it looks up. It asks through connections that dial makes. When a lookup's context
// ends, so does the lookup, which net's own would let run into its timeout.
func Resolver(dial func(ctx context.Context, network, address string) (net.Conn, error)) (*net.Resolver, *Observer) {
	o := &Observer{asked: make(map[uint16][]string), none: make(map[string]bool)}
	return &net.Resolver{
		PreferGo: true,
		// The answer for a name of the search list that is not first must not be
		// taken when there was a failure before.
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
				return &packets{p, o}, nil
			}
			return &stream{Conn: conn, observer: o}, nil
		},
	}, o
}

// packetConn is what net takes for a connection of packets: one message each.
type packetConn interface {
	net.Conn
	net.PacketConn
}

type packets struct {
	packetConn
	observer *Observer
}

func (p *packets) Write(b []byte) (int, error) {
	p.observer.query(b)
	return p.packetConn.Write(b)
}

func (p *packets) Read(b []byte) (int, error) {
	n, err := p.packetConn.Read(b)
	if err == nil {
		p.observer.response(b[:n])
	}
	return n, anonymous(err)
}

// stream is a connection where a length comes before each message. One goroutine
// reads from it.
type stream struct {
	net.Conn
	observer *Observer
	read     []byte // of the message that is under way, its length included
}

// Write is given a whole query, as net does.
func (s *stream) Write(b []byte) (int, error) {
	s.observer.query(b[min(2, len(b)):])
	return s.Conn.Write(b)
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.read = append(s.read, b[:n]...)
	for len(s.read) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(s.read))
		if len(s.read) < end {
			break
		}
		s.observer.response(s.read[2:end])
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
