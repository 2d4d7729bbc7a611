package codec

import (
	"encoding/gob"
	"io"
	"sync"
)

// gobDecoder decodes values of a stream, each of which it is given with the definitions of
// the stream so far. It tells its gob.Decoder each definition once, ahead of the first value
// behind it. One that has failed, or has skipped a value with definitions inside, may have
// missed some; it is replaced and told all of them again.
type gobDecoder struct {
	dec  *gob.Decoder // nil until needed, and after a failure
	fed  int          // how much of the definitions dec has been given
	feed gobFeed      // what dec reads
}

// decode decodes a value. Of the definitions, those from before on lie in it.
func (d *gobDecoder) decode(defs []byte, before int, value []byte, v any) error {
	if d.dec == nil {
		d.dec, d.fed = gob.NewDecoder(&d.feed), 0
	}
	known := max(d.fed, before) // a value that is decoded twice brings nothing new
	d.feed = gobFeed{defs[d.fed:known], value}
	err := decodeGob(d.dec, v)
	d.feed = gobFeed{}
	if err != nil {
		d.dec = nil
		return &DecodeError{err}
	}
	d.fed = len(defs)
	if len(value) > keepBuffer {
		d.shed()
	}
	return nil
}

// gobZero is an int, in a message of its own.
var gobZero = []byte{3, 2 * gobInt, 0, 0}

// shed has the decoder receive another message: it keeps its copy of the last one
// until then.
func (d *gobDecoder) shed() {
	d.feed = gobFeed{gobZero}
	if decodeGob(d.dec, nil) != nil {
		d.dec = nil // out of reach
	}
}

// gobLater decodes the replies of one connection that were kept.
type gobLater struct {
	mu sync.Mutex // protects following
	gobDecoder
}

// decode is gobDecoder's for values that come in any order. One that is older than the last
// has a decoder of its own, which need not forget definitions.
func (l *gobLater) decode(defs []byte, before int, value []byte, v any) error {
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

// gobFeed reads out two pieces. It is an io.ByteReader, so that a gob.Decoder
// takes no more than it decodes.
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
