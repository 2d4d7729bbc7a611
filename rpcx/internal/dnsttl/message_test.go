package dnsttl

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// response is a message with one question for calc.example and the given answers.
func response(answers ...[]byte) []byte {
	b := []byte{0, 1, 0x84, 0x80, 0, 1, 0, byte(len(answers)), 0, 0, 0, 0}
	b = append(b, "\x04calc\x07example\x00\x00\x01\x00\x01"...)
	return append(b, bytes.Join(answers, nil)...)
}

// record is an A record, its name a pointer to the question's.
func record(ttl uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0xC0, 12, 0, 1, 0, 1}, ttl)
	return append(b, 0, 4, 192, 0, 2, 1)
}

func TestLeast(t *testing.T) {
	query := response()
	query[2] = 0x01
	additional := response(record(60))
	additional[11] = 1
	additional = append(additional, 0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0) // OPT
	short := response(record(60), record(30))
	reserved := response(record(60))
	reserved[12] = 0x80
	for _, c := range []struct {
		name string
		msg  []byte
		want time.Duration
		ok   bool
	}{
		{"one answer", response(record(60)), time.Minute, true},
		{"the smallest of three", response(record(60), record(30), record(90)), 30 * time.Second, true},
		{"zero", response(record(60), record(0)), 0, true},
		{"beyond 31 bits is zero (RFC 2181, section 8)", response(record(1 << 31)), 0, true},
		{"the largest", response(record(1<<31 - 1)), (1<<31 - 1) * time.Second, true},
		{"OPT is no answer", additional, time.Minute, true},
		{"no answer", response(), 0, false},
		{"a query", query, 0, false},
		{"nothing", nil, 0, false},
		{"cut in the second answer", short[:len(short)-7], time.Minute, true},
		{"cut in the second answer's data", short[:len(short)-1], 30 * time.Second, true},
		{"cut in a name", short[:14], 0, false},
		{"cut in a pointer", short[:len(short)-31], 0, false},
		{"a label of a reserved kind", reserved, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := least(c.msg)
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.want, got)
		})
	}
}

// The oracle is net's own parser: where it finds an address, there is a TTL.
func FuzzLeast(f *testing.F) {
	f.Add(response(record(60)))
	f.Add(response(record(60), record(1<<31)))
	f.Add(response([]byte("\xC0\x0C\x00\x05\x00\x01\x00\x00\x00\x09\x00\x04\x01b\xC0\x11"), []byte("\x01b\xC0\x11\x00\x01\x00\x01\x00\x00\x00\x03\x00\x04\xC0\x00\x02\x01")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > 1<<16-1 {
			return
		}
		r, ttl := Resolver(func(context.Context, string, string) (net.Conn, error) { return &canned{msg: bytes.Clone(msg)}, nil })
		addrs, err := r.LookupNetIP(t.Context(), "ip4", "calc.example.")
		least, ok := ttl.Least()
		if err == nil && len(addrs) > 0 {
			require.True(t, ok, "net found %v", addrs)
		}
		require.GreaterOrEqual(t, least, time.Duration(0))
	})
}

// canned is a connection to a server that answers every query with one message.
type canned struct {
	net.Conn
	msg []byte
	out io.Reader
}

func (c *canned) Write(query []byte) (int, error) {
	if len(c.msg) >= 2 {
		copy(c.msg, query[2:4]) // the ID
	}
	c.out = io.MultiReader(bytes.NewReader(binary.BigEndian.AppendUint16(nil, uint16(len(c.msg)))), bytes.NewReader(c.msg))
	return len(query), nil
}

func (c *canned) Read(b []byte) (int, error)  { return c.out.Read(b) }
func (c *canned) Close() error                { return nil }
func (c *canned) SetDeadline(time.Time) error { return nil }
