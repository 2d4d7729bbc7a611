package codec

import (
	"encoding/binary"
	"math/bits"
)

// A cursor reads gob's primitive encodings from one message. Reading past the
// end or a malformed number sets bad and yields zeros from then on.
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

// bytes reads a counted run of bytes. The result aliases the message.
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

// field reads on in a struct: past field i (-1 at its start), whose value has been
// consumed, to the next one present, whose value then follows. It returns false
// at the struct's end, which may also be, for package gob, the message's.
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

// parseUint reads an unsigned integer as gob writes it: one byte below 128, or
// the negated count of the big-endian bytes that follow. It returns the value
// and the number of bytes it takes: 0 if more bytes are needed, -1 if it is
// malformed.
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
