package codec

import (
	"encoding/gob"
	"io"
	"sync"
)

// gobDecoder decodes the values of a stream. It passes each type definition to its
// gob.Decoder once, before the next value. After an error the gob.Decoder may lack some
// definitions. Then a new one gets all definitions again.
type gobDecoder struct {
	dec  *gob.Decoder // nil until needed, and after an error
	fed  int          // number of bytes of definitions that dec has read
	feed gobFeed      // the input of dec
}

// decode decodes value into v. defs are all definitions of the stream up to and including
// those in the value; the latter begin at before.
func (d *gobDecoder) decode(defs []byte, before int, value []byte, v any) error {
	if d.dec == nil {
		d.dec, d.fed = gob.NewDecoder(&d.feed), 0
	}
	known := max(d.fed, before) // if the value is decoded again, its definitions are known
	d.feed = gobFeed{defs[d.fed:known], value}
	err := decodeGob(d.dec, v)
	d.feed = gobFeed{}
	if err != nil {
		d.dec = nil
		return &DecodeError{err}
	}
	d.fed = len(defs)
	if len(value) > keepBuffer {
		d.releaseBuffer()
	}
	return nil
}

// gobZero is the message of an int.
var gobZero = []byte{3, 2 * gobInt, 0, 0}

// releaseBuffer decodes a short message, because a gob.Decoder keeps a copy of the last
// message until the next one.
func (d *gobDecoder) releaseBuffer() {
	d.feed = gobFeed{gobZero}
	if decodeGob(d.dec, nil) != nil {
		d.dec = nil // cannot happen
	}
}

// gobRawDecoder decodes the RawReplies of one connection.
type gobRawDecoder struct {
	mu sync.Mutex // protects following
	gobDecoder
}

// decode is gobDecoder.decode for values in any order. A value that is older than the last
// one gets a new decoder, since a decoder cannot forget definitions.
func (l *gobRawDecoder) decode(defs []byte, before int, value []byte, v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dec != nil && l.fed > before {
		return new(gobDecoder).decode(defs, before, value, v)
	}
	return l.gobDecoder.decode(defs, before, value, v)
}

func decodeGob(dec *gob.Decoder, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError("gob", p)
		}
	}()
	return dec.Decode(v)
}

// gobFeed is a reader of two slices, one after the other. It is an io.ByteReader, so that
// a gob.Decoder does not read ahead.
type gobFeed [2][]byte

func (f *gobFeed) Read(p []byte) (int, error) {
	if len(f[0]) == 0 {
		f[0], f[1] = f[1], nil
	}
	if len(f[0]) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, f[0])
	f[0] = f[0][n:]
	return n, nil
}

func (f *gobFeed) ReadByte() (byte, error) {
	var b [1]byte
	_, err := f.Read(b[:])
	return b[0], err
}
