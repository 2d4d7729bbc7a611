package dnsttl

import (
	"encoding/binary"
	"time"
)

// The types of a question for the addresses of a host (RFC 1035, 3596).
const (
	TypeA    = 1
	TypeAAAA = 28
)

const (
	headerSize   = 12 // ID, flags and four counts
	questionTail = 4  // type and class
	recordTail   = 10 // type, class, TTL and the length of the data
)

// least returns the smallest TTL of the answers in a DNS response (RFC 1035,
// section 4), and false if msg is no response or has no answer. If it is cut short,
// those that can be read count, as they do for net. The other sections are not looked
// at: OPT, for one, has no TTL where others do.
func least(msg []byte) (time.Duration, bool) {
	if len(msg) < headerSize || msg[2]&0x80 == 0 {
		return 0, false
	}
	questions := binary.BigEndian.Uint16(msg[4:])
	answers := binary.BigEndian.Uint16(msg[6:])
	rest, ok := msg[headerSize:], true
	for range questions {
		if rest, ok = skip(rest, questionTail); !ok {
			return 0, false
		}
	}
	const none = 1 << 31
	ttl := uint32(none)
	for range answers {
		name, ok := nameSize(rest)
		if !ok || len(rest) < name+recordTail {
			break
		}
		size := int(binary.BigEndian.Uint16(rest[name+8:]))
		seconds := binary.BigEndian.Uint32(rest[name+4:])
		if seconds >= none {
			seconds = 0 // RFC 2181, section 8
		}
		ttl = min(ttl, seconds)
		if rest, ok = skip(rest, recordTail+size); !ok {
			break
		}
	}
	if ttl == none {
		return 0, false
	}
	return time.Duration(ttl) * time.Second, true
}

// question returns the name, as it is in the message, and the type of the first
// question in msg.
func question(msg []byte) (name string, kind uint16, ok bool) {
	if len(msg) < headerSize {
		return "", 0, false
	}
	b := msg[headerSize:]
	n, ok := nameSize(b)
	if !ok || len(b) < n+questionTail {
		return "", 0, false
	}
	return string(b[:n]), binary.BigEndian.Uint16(b[n:]), true
}

// noSuchName returns the name of which a response says that it does not exist.
func noSuchName(msg []byte) (name string, ok bool) {
	const nameError = 3
	name, _, ok = question(msg)
	return name, ok && msg[2]&0x80 != 0 && msg[3]&0xF == nameError
}

// skip returns what comes after a name and n bytes.
func skip(b []byte, n int) ([]byte, bool) {
	name, ok := nameSize(b)
	if !ok || len(b) < name+n {
		return nil, false
	}
	return b[name+n:], true
}

// nameSize returns how many bytes the name at the start of b takes there: labels up
// to the root or to a pointer, which is not followed.
func nameSize(b []byte) (int, bool) {
	for i := 0; i < len(b); {
		switch length := int(b[i]); {
		case length == 0:
			return i + 1, true
		case length >= 0xC0:
			return i + 2, i+2 <= len(b)
		case length >= 0x40:
			return 0, false // reserved
		default:
			i += 1 + length
		}
	}
	return 0, false
}
