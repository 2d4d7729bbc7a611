package codec

import (
	"encoding/binary"
	"math/bits"
)

// A cursor reads gob's primitive values from one message. At the end, or at a malformed
// number, it sets bad and returns zeros from then on.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uint() uint64 {
	v, n := parseUint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) int() int64 {
	u := c.uint()
	if u&1 != 0 {
		return ^int64(u >> 1)
	}
	return int64(u >> 1)
}

// bytes reads bytes after their count. The result aliases the message.
func (c *cursor) bytes() []byte {
	n := c.uint()
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return nil
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

// field reads the number of the next field of a struct, whose value follows. i is the
// number of the field read last, or -1. It returns false at the end of the struct or, as
// package gob does, of the message.
func (c *cursor) field(i int) (int, bool) {
	if len(c.b) == 0 {
		return 0, false
	}
	delta := c.uint()
	if delta > maxGobFields {
		c.bad = true
	}
	if delta == 0 || c.bad {
		return 0, false
	}
	return i + int(delta), true
}

// parseUint reads gob's unsigned integer: one byte below 128, or a negated count and that
// many big-endian bytes. It returns the value and its length in bytes. The length is 0 if
// more bytes are needed, and -1 if the integer is malformed.
func parseUint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	if b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	n = -int(int8(b[0]))
	if n > 8 {
		return 0, -1
	}
	if len(b) < 1+n {
		return 0, 0
	}
	for _, x := range b[1 : 1+n] {
		v = v<<8 | uint64(x)
	}
	return v, 1 + n
}

func appendUint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], v)
	skip := bits.LeadingZeros64(v) / 8
	b = append(b, byte(skip-8)) // the count of bytes, negated
	return append(b, be[skip:]...)
}

func appendInt(b []byte, v int64) []byte {
	if v < 0 {
		return appendUint(b, uint64(^v)<<1|1)
	}
	return appendUint(b, uint64(v)<<1)
}
