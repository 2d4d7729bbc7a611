package codec

import (
	"bytes"
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

	enc       *gob.Encoder // writes to out
	prototype any          // of a header
	headerID  int64        // of its type
	// longest is the length of the longest frame that enc has encoded, which it
	// keeps room for.
	longest int
	// out is the frame in the making. Between frames it holds definitions of
	// types that the encoder believes the peer has, and that leave with the
	// next frame.
	out     []byte
	keeper  keeper // of out, and of enc
	scratch []byte

	interfaces map[reflect.Type]bool // what delicate has found out
	// defined are the types of bodies that enc believes the peer to know, and dynamic
	// says that there may be others, of what interfaces have held.
	defined map[reflect.Type]bool
	dynamic bool
}

// init prepares a writer of headers of the prototype's type. The encoder is told
// of that type first, so that it does not define it again if a body uses it.
func (w *gobWriter) init(conn io.Writer, max int64, prototype any) {
	w.conn, w.max = conn, max
	w.defined = make(map[reflect.Type]bool)
	w.interfaces = make(map[reflect.Type]bool)
	w.define(prototype)
}

// define sets the type of headers. Nothing may have been written yet.
func (w *gobWriter) define(prototype any) {
	w.prototype, w.out = prototype, w.out[:0]
	w.begin()
	w.headerID = w.keepDefinitions(0)
}

// begin makes an encoder that has sent the header's type.
func (w *gobWriter) begin() {
	w.enc = gob.NewEncoder((*gobSink)(w))
	if err := w.enc.Encode(w.prototype); err != nil {
		w.retired = err // out of reach: net/rpc's headers can be encoded
	}
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
	size := len(w.out)
	if err == nil && int64(size) > w.max {
		err = &FrameError{Size: int64(size), Max: w.max, knob: gobKnob}
	}
	if err != nil {
		w.undo(definitions, body, err)
		w.renew() // how much the encoder has taken is not known
		return &EncodeError{err}
	}
	w.note(reflect.TypeOf(body))
	n, err := w.conn.Write(w.out)
	if err == nil && n < len(w.out) {
		err = io.ErrShortWrite
	}
	w.out = w.out[:0]
	w.retired = err
	w.shed(size)
	return err
}

// note remembers a type that enc has sent.
func (w *gobWriter) note(t reflect.Type) {
	if !w.defined[t] {
		w.defined[t] = true
		w.dynamic = w.dynamic || w.delicate(t)
	}
}

// shed gives up what a frame of the given size has taken, unless it is to be kept.
func (w *gobWriter) shed(size int) {
	w.longest = max(w.longest, size)
	if !w.keeper.keep(max(cap(w.out), w.longest), size) {
		w.renew()
	}
}

// renew gives up all buffers. Package gob's Encoder keeps its own for good, so that it
// is replaced by one that has sent the same types: their definitions are the same in
// all of a process. What interfaces held cannot be told.
func (w *gobWriter) renew() {
	kept := bytes.Clone(w.out)
	w.longest = 0
	if !w.dynamic && w.retired == nil {
		w.begin()
		for t := range w.defined {
			encodeGob(w.enc, zero(t)) //nolint:errcheck // a type is sent ahead of its value
		}
	}
	w.out = kept
}

// zero returns a value of type t that is not nil, be it of pointers.
func zero(t reflect.Type) any {
	v := reflect.New(t).Elem()
	for p := v; p.Kind() == reflect.Pointer; p = p.Elem() {
		p.Set(reflect.New(p.Type().Elem()))
	}
	return v.Interface()
}

// header appends a header as gob encodes a struct: the fields that are not zero,
// each by its distance from the last.
func (w *gobWriter) header(h gobHeader) {
	f := gobFields{b: appendInt(w.scratch[:0], w.headerID)}
	f.string(1, h.method)
	f.uint(2, h.seq)
	f.string(3, h.errmsg)
	if h.request != nil {
		h.request.fields(&f)
	}
	if h.response != nil {
		h.response.fields(&f)
	}
	b := append(f.b, 0)
	w.out = appendUint(w.out, uint64(len(b)))
	w.out = append(w.out, b...)
	if cap(b) <= keepBuffer {
		w.scratch = b
	}
}

// gobFields appends the fields of a struct that are not zero. The first one has the
// number 1.
type gobFields struct {
	b    []byte
	last int
}

// field begins a field.
func (f *gobFields) field(i int) { f.b, f.last = append(f.b, byte(i-f.last)), i }

func (f *gobFields) uint(i int, v uint64) {
	if v != 0 {
		f.field(i)
		f.b = appendUint(f.b, v)
	}
}

func (f *gobFields) string(i int, s string) {
	if s != "" {
		f.field(i)
		f.b = append(appendUint(f.b, uint64(len(s))), s...)
	}
}

// undo takes back a frame that is not to be sent, but for the definitions in it:
// the encoder will not repeat them. Those inside of an interface's value cannot
// be told apart from it, so that after one nothing more can be written.
func (w *gobWriter) undo(start int, body any, cause error) {
	w.keepDefinitions(start)
	switch {
	case body == nil:
	case w.delicate(reflect.TypeOf(body)):
		w.retired = cause
	case len(w.out) > start:
		w.note(reflect.TypeOf(body))
	}
}

// delicate reports whether a value of type t may hold an interface.
func (w *gobWriter) delicate(t reflect.Type) bool {
	holds, known := w.interfaces[t]
	if !known {
		holds = holdsInterface(t, make(map[reflect.Type]bool))
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
