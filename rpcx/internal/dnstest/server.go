// Package dnstest is a small name server for tests: it answers over any connection,
// those of simnet in virtual time included.
package dnstest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// The types of a question that the server knows.
const (
	TypeA    = 1
	TypeAAAA = 28
	TypeSRV  = 33
)

// Response codes (RFC 1035, section 4.1.1).
const (
	ServerFailure = 2
	NoSuchName    = 3
)

// maxPacket is what net/dnsclient says that it takes in one packet.
const maxPacket = 1232

// An Answer is the server's to one question. The zero Answer says that the name has
// no records of the type.
type Answer struct {
	RCode   byte
	TTL     uint32   // of every record, in seconds
	Records []Record // all of the type asked for
	Silent  bool     // never answer
}

// A Record is the data of a resource record.
type Record []byte

// IP is a record of type A or AAAA, after the address.
func IP(address string) Record { return netip.MustParseAddr(address).AsSlice() }

// SRV is a record of a service (RFC 2782).
func SRV(priority, weight, port uint16, target string) Record {
	var b Record
	b = binary.BigEndian.AppendUint16(b, priority)
	b = binary.BigEndian.AppendUint16(b, weight)
	b = binary.BigEndian.AppendUint16(b, port)
	return appendName(b, target)
}

// A Question is what a server is asked: a name in lower case that ends with a dot,
// and a type.
type Question struct {
	Name string
	Type uint16
}

// A Server answers as it was told to. The zero Server knows no name. Its methods may
// be called concurrently.
type Server struct {
	mu      sync.Mutex // protects following
	answers map[Question]Answer
	asked   map[Question]int
}

// Set lets the server answer a question so from now on.
func (s *Server) Set(name string, kind uint16, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = make(map[Question]Answer)
	}
	s.answers[Question{name, kind}] = a
}

// Forget lets the server know no name any more.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = nil
}

// Asked returns how often a question has been asked.
func (s *Server) Asked(name string, kind uint16) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[Question{name, kind}]
}

// find returns the answer to a question. A name that has records of some type has
// none of the others; one that has none at all does not exist.
func (s *Server) find(q Question) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = make(map[Question]int)
	}
	s.asked[q]++
	if a, ok := s.answers[q]; ok {
		return a
	}
	for known := range s.answers {
		if known.Name == q.Name {
			return Answer{}
		}
	}
	return Answer{RCode: NoSuchName}
}

// ServeStream answers on the connections of ln until it is closed.
func (s *Server) ServeStream(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go s.serve(conn)
	}
}

func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := s.reply(query, 1<<16-1)
		if reply == nil {
			continue
		}
		reply = append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

// ServePacket answers the packets that come in until conn is closed.
func (s *Server) ServePacket(conn net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := s.reply(buf[:n], maxPacket); reply != nil {
			conn.WriteTo(reply, from) //nolint:errcheck // packets may be lost
		}
	}
}

// reply returns the response to a query, nil for none. One that is longer than limit
// is truncated to no answer at all.
func (s *Server) reply(query []byte, limit int) []byte {
	q, end := parse(query)
	a := s.find(q)
	if a.Silent {
		return nil
	}
	b := append([]byte(nil), query[:end]...)
	b[2], b[3] = 0x84, 0x80|a.RCode // a response, authoritative; recursion available
	copy(b[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	short := len(b)
	for _, r := range a.Records {
		b = append(b, 0xC0, 12) // the name of the question
		b = binary.BigEndian.AppendUint16(b, q.Type)
		b = binary.BigEndian.AppendUint16(b, 1)
		b = binary.BigEndian.AppendUint32(b, a.TTL)
		b = binary.BigEndian.AppendUint16(b, uint16(len(r)))
		b = append(b, r...)
	}
	if len(b) > limit {
		b = b[:short]
		b[2] |= 2 // truncated
		return b
	}
	binary.BigEndian.PutUint16(b[6:], uint16(len(a.Records)))
	return b
}

// parse returns the question of a query and where it ends. It panics if there is
// none: net asks well.
func parse(query []byte) (q Question, end int) {
	var name strings.Builder
	p := 12
	for query[p] != 0 {
		length := int(query[p])
		fmt.Fprintf(&name, "%s.", query[p+1:p+1+length])
		p += 1 + length
	}
	p++
	return Question{strings.ToLower(name.String()), binary.BigEndian.Uint16(query[p:])}, p + 4
}

func appendName(b []byte, name string) []byte {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}
