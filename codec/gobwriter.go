package codec

import (
	"encoding/gob"
	"io"
	"reflect"
)

// gobWriter sends pairs of gob values, the header and the body of one request
// or reply. It writes headers itself and leaves bodies to a gob.Encoder.
type gobWriter struct {
	conn    io.Writer
	max     int64
	retired error // why nothing more may be written

	enc      *gob.Encoder // writes to out
	headerID int64        // of the header's type
	// out is the frame in the making. Between frames it holds definitions of
	// types that the encoder believes the peer has, and that leave with the
	// next frame.
	out     []byte
	keeper  keeper // of out
	scratch []byte

	interfaces map[reflect.Type]bool // what delicate has found out
}

// init prepares a writer of headers of the prototype's type. The encoder is told
// of that type first, so that it does not define it again if a body uses it.
func (w *gobWriter) init(conn io.Writer, max int64, prototype any) {
	w.conn, w.max = conn, max
	w.enc = gob.NewEncoder((*gobSink)(w))
	if err := w.enc.Encode(prototype); err != nil {
		w.retired = err // out of reach: net/rpc's headers can be encoded
		return
	}
	w.headerID = w.keepDefinitions(0)
}

// gobSink is the writer as its own encoder sees it.
type gobSink gobWriter

func (s *gobSink) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

// write sends one frame, or nothing of it.
func (w *gobWriter) write(h gobHeader, body any) error {
	if w.retired != nil {
		return &retiredError{w.retired}
	}
	definitions := len(w.out)
	w.header(h)
	err := encodeGob(w.enc, body)
	if size := int64(len(w.out)); err == nil && size > w.max {
		err = &FrameError{Size: size, Max: w.max, knob: gobKnob}
	}
	if err != nil {
		w.undo(definitions, body, err)
		return &EncodeError{err}
	}
	n, err := w.conn.Write(w.out)
	if err == nil && n < len(w.out) {
		err = io.ErrShortWrite
	}
	if !w.keeper.keep(cap(w.out), len(w.out)) {
		w.out = nil
	}
	w.out = w.out[:0]
	w.retired = err
	return err
}

// header appends a header as gob encodes a struct: the fields that are not zero,
// each by its distance from the last.
func (w *gobWriter) header(h gobHeader) {
	b, last := appendInt(w.scratch[:0], w.headerID), 0
	field := func(i int) { b, last = append(b, byte(i-last)), i }
	if h.method != "" {
		field(1)
		b = append(appendUint(b, uint64(len(h.method))), h.method...)
	}
	if h.seq != 0 {
		field(2)
		b = appendUint(b, h.seq)
	}
	if h.errmsg != "" {
		field(3)
		b = append(appendUint(b, uint64(len(h.errmsg))), h.errmsg...)
	}
	w.scratch = append(b, 0)
	w.out = appendUint(w.out, uint64(len(w.scratch)))
	w.out = append(w.out, w.scratch...)
}

// undo takes back a frame that is not to be sent, but for the definitions in it:
// the encoder will not repeat them. Those inside of an interface's value cannot
// be told apart from it, so that after one nothing more can be written.
func (w *gobWriter) undo(start int, body any, cause error) {
	w.keepDefinitions(start)
	if body != nil && w.delicate(reflect.TypeOf(body)) {
		w.retired = cause
	}
}

// delicate reports whether a value of type t may hold an interface.
func (w *gobWriter) delicate(t reflect.Type) bool {
	holds, known := w.interfaces[t]
	if !known {
		holds = holdsInterface(t, make(map[reflect.Type]bool))
		if w.interfaces == nil {
			w.interfaces = make(map[reflect.Type]bool)
		}
		w.interfaces[t] = holds
	}
	return holds
}

// keepDefinitions drops every message of out from start on that is no definition,
// and returns the type of the last one dropped.
func (w *gobWriter) keepDefinitions(start int) (id int64) {
	kept, rest := w.out[:start], cursor{b: w.out[start:]}
	for len(rest.b) > 0 && !rest.bad {
		before := rest.b
		message := cursor{b: rest.bytes()}
		switch t := message.int(); {
		case t < 0:
			kept = append(kept, before[:len(before)-len(rest.b)]...)
		default:
			id = t
		}
	}
	w.out = kept
	return id
}

// encodeGob turns the panics of gob, as of a nil pointer, and of the encoders of
// the caller's own types into errors.
func encodeGob(enc *gob.Encoder, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError("gob", p)
		}
	}()
	return enc.Encode(v)
}

// holdsInterface reports whether a value of type t can hold an interface where gob
// sees it.
func holdsInterface(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return holdsInterface(t.Elem(), seen)
	case reflect.Map:
		return holdsInterface(t.Key(), seen) || holdsInterface(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && holdsInterface(f.Type, seen) {
				return true
			}
		}
	}
	return false
}
