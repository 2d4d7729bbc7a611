package dnstest

import (
	"context"
	"net"
	"sync"
	"testing"
)

// Prepare makes package net ready for lookups in a testing/synctest bubble: what it
// makes at the first lookup must not belong to one.
func Prepare() {
	r := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	r.LookupNetIP(context.Background(), "ip", "prepare.invalid.") //nolint:errcheck // it fails
}

// Listen answers on UDP and TCP at one port of 127.0.0.1 until the test is over, and
// returns its address.
func (s *Server) Listen(t testing.TB) string {
	t.Helper()
	packets, ln := listen(t)
	var wg sync.WaitGroup
	wg.Go(func() { s.ServePacket(packets) })
	wg.Go(func() { s.ServeStream(ln) })
	t.Cleanup(func() {
		packets.Close()
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

// listen looks for a port that is free in both protocols.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", ln.Addr().String())
		if err == nil {
			return packets, ln
		}
		ln.Close()
	}
	t.Fatal("dnstest: no port is free for both UDP and TCP")
	return nil, nil
}
