package codec

import (
	"bytes"
	"encoding/gob"
	"io"
	"reflect"
)

// gobWriter sends pairs of gob values: the header and the body of a request or reply. It
// encodes headers itself, and bodies with a gob.Encoder.
type gobWriter struct {
	conn    io.Writer
	max     int64
	retired error // why nothing more may be written

	enc       *gob.Encoder // writes to out
	prototype any          // a zero header
	headerID  int64        // the id of the header's type
	longest   int          // size of enc's buffer: the longest frame that it has encoded
	// out is the frame that is being encoded. Between frames it has the type
	// definitions that enc has written, but that have not been sent yet.
	out     []byte
	keeper  keeper // of out, and of enc
	scratch []byte

	interfaces map[reflect.Type]bool // results of mayHoldInterface
	// defined are the types of bodies that enc has encoded. dynamic says that there may
	// be others, in interfaces.
	defined map[reflect.Type]bool
	dynamic bool
}

// init prepares a writer for headers of the prototype's type.
func (w *gobWriter) init(conn io.Writer, max int64, prototype any) {
	w.conn, w.max = conn, max
	w.defined = make(map[reflect.Type]bool)
	w.interfaces = make(map[reflect.Type]bool)
	w.define(prototype)
}

// define sets the type of headers. It must be called before the first write. The encoder
// encodes that type first, so that it does not define the type again for a body.
func (w *gobWriter) define(prototype any) {
	w.prototype, w.out = prototype, w.out[:0]
	w.begin()
	w.headerID = w.keepDefinitions(0)
}

// begin makes an encoder that has encoded the header's type.
func (w *gobWriter) begin() {
	w.enc = gob.NewEncoder((*gobSink)(w))
	if err := w.enc.Encode(w.prototype); err != nil {
		w.retired = err // cannot happen
	}
}

// gobSink is the io.Writer of a gobWriter's encoder.
type gobSink gobWriter

func (s *gobSink) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

// write sends a frame by one Write. If the frame cannot be encoded, it writes nothing.
func (w *gobWriter) write(h gobHeader, body any) error {
	if w.retired != nil {
		return &retiredError{w.retired}
	}
	definitions := len(w.out)
	w.header(h)
	err := encodeGob(w.enc, body)
	size := len(w.out)
	if err == nil && int64(size) > w.max {
		err = &FrameError{Size: int64(size), Max: w.max, limitName: gobLimitName}
	}
	if err != nil {
		w.undo(definitions, body, err)
		w.renew() // the size of the encoder's buffer is not known
		return &EncodeError{err}
	}
	w.note(reflect.TypeOf(body))
	n, err := w.conn.Write(w.out)
	if err == nil && n < len(w.out) {
		err = io.ErrShortWrite
	}
	w.out = w.out[:0]
	w.retired = err
	w.limitBuffers(size)
	return err
}

// note records a type that enc has encoded.
func (w *gobWriter) note(t reflect.Type) {
	if !w.defined[t] {
		w.defined[t] = true
		w.dynamic = w.dynamic || w.mayHoldInterface(t)
	}
}

// limitBuffers releases the buffers after a frame of the given size, unless the keeper
// keeps them.
func (w *gobWriter) limitBuffers(size int) {
	w.longest = max(w.longest, size)
	if !w.keeper.keep(max(cap(w.out), w.longest), size) {
		w.renew()
	}
}

// renew releases all buffers. A gob.Encoder never releases its own, so it is replaced by
// one that has encoded the same types. The ids of types are the same in the whole process.
// After values of interfaces the types are not known, and the encoder is kept.
func (w *gobWriter) renew() {
	kept := bytes.Clone(w.out)
	w.longest = 0
	if !w.dynamic && w.retired == nil {
		w.begin()
		for t := range w.defined {
			encodeGob(w.enc, zero(t)) //nolint:errcheck // the type comes before the value
		}
	}
	w.out = kept
}

// zero returns a value of type t without nil pointers.
func zero(t reflect.Type) any {
	v := reflect.New(t).Elem()
	for p := v; p.Kind() == reflect.Pointer; p = p.Elem() {
		p.Set(reflect.New(p.Type().Elem()))
	}
	return v.Interface()
}

// header appends a header, encoded as a gob struct: its nonzero fields, each after the
// difference of its number from the last.
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

// overhead returns the size of a frame with the given header without its body: of the header, and
// of the definitions that have not been sent yet.
func (w *gobWriter) overhead(h gobHeader) int64 {
	start := len(w.out)
	w.header(h)
	size := len(w.out)
	w.out = w.out[:start]
	return int64(size)
}

// gobFields appends the nonzero fields of a struct. The first field has the number 1.
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

// undo removes a frame that is not sent from out, except its type definitions, which the
// encoder does not repeat. Definitions in the value of an interface cannot be separated
// from the value, so after such a body nothing more can be written.
func (w *gobWriter) undo(start int, body any, cause error) {
	w.keepDefinitions(start)
	switch {
	case body == nil:
	case w.mayHoldInterface(reflect.TypeOf(body)):
		w.retired = cause
	case len(w.out) > start:
		w.note(reflect.TypeOf(body))
	}
}

// mayHoldInterface is holdsInterface with a cache.
func (w *gobWriter) mayHoldInterface(t reflect.Type) bool {
	holds, known := w.interfaces[t]
	if !known {
		holds = holdsInterface(t, make(map[reflect.Type]bool))
		w.interfaces[t] = holds
	}
	return holds
}

// keepDefinitions removes the messages of out from start on that are no type definitions,
// and returns the type id of the last one removed.
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

// encodeGob encodes v. A panic of package gob, as for a nil pointer, or of an encoder of
// the caller's types becomes an error.
func encodeGob(enc *gob.Encoder, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError("gob", p)
		}
	}()
	return enc.Encode(v)
}

// holdsInterface reports whether a value of type t can hold an interface that gob encodes.
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
