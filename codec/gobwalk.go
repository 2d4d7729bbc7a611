package codec

import "errors"

// gobWalk walks a gob value as a gob.Decoder would. It receives the further messages of
// the value, and stores the type definitions in it. The first error ends the walk.
type gobWalk struct {
	r      *gobReader
	err    error
	depth  int
	within bool // the walk has been in an interface
}

func (w *gobWalk) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *gobWalk) ok() bool { return w.err == nil && !w.r.cur.bad }

// more reports whether there can be another element. An element has at least one byte. (A
// struct without any is valid at the end of a message only.)
func (w *gobWalk) more() bool {
	if len(w.r.cur.b) == 0 {
		w.fail(errGobCount)
	}
	return w.ok()
}

func (w *gobWalk) result() error {
	if w.err == nil && w.r.cur.bad {
		w.err = errGobStream
	}
	if w.err == errGobStream && w.within { //nolint:errorlint // it is never wrapped
		w.err = errGobWithin
	}
	return w.err
}

// value walks a top-level value, or the value of an interface.
func (w *gobWalk) value(id int64) {
	if t := w.r.types[id]; t != nil && t.kind == gobStruct {
		w.element(id)
		return
	}
	if w.r.cur.uint() != 0 { // gob writes a 0 before a value that is no struct
		w.fail(errGobStream)
		return
	}
	w.element(id)
}

// element walks a value within another one.
func (w *gobWalk) element(id int64) {
	switch id {
	case gobBool, gobInt, gobUint, gobFloat:
		w.r.cur.uint()
	case gobComplex:
		w.r.cur.uint()
		w.r.cur.uint()
	case gobBytes, gobString:
		w.r.cur.bytes()
	default:
		if w.depth++; w.depth > maxGobDepth {
			w.fail(errors.New("codec: gob value is nested too deeply"))
			return
		}
		w.composite(id)
		w.depth--
	}
}

func (w *gobWalk) composite(id int64) {
	if id == gobInterface {
		w.interfaceValue()
		return
	}
	t, err := w.r.types.find(id)
	if err != nil {
		w.fail(err)
		return
	}
	switch t.kind {
	case gobStruct:
		for i, ok := w.field(t, -1); ok; i, ok = w.field(t, i) {
			w.element(t.fields[i].id)
		}
	case gobArray:
		for n := w.r.cur.uint(); n > 0 && w.more(); n-- {
			w.element(t.elem)
		}
	case gobMap:
		for n := w.r.cur.uint(); n > 0 && w.more(); n-- {
			w.element(t.key)
			w.element(t.elem)
		}
	default:
		w.r.cur.bytes()
	}
}

// field is cursor.field with a check that t has the field. It returns false after an error.
func (w *gobWalk) field(t *gobType, i int) (int, bool) {
	if !w.ok() {
		return 0, false
	}
	i, ok := w.r.cur.field(i)
	if ok && i >= len(t.fields) {
		w.fail(errGobStream)
		return 0, false
	}
	return i, ok
}

// interfaceValue walks the value of an interface: the name of a registered type,
// definitions of new types, the id of the value's type, the size of the value, and the
// value. A definition ends a message, except within another interface, where the size of
// the next part follows.
func (w *gobWalk) interfaceValue() {
	r := w.r
	w.within = true
	if name := r.cur.bytes(); len(name) == 0 {
		return
	}
	for w.ok() {
		if len(r.cur.b) == 0 {
			if err := r.message(); err != nil {
				w.fail(noEOF(err))
				return
			}
		}
		id := r.cur.int()
		if id >= 0 {
			r.cur.uint()
			w.value(id)
			return
		}
		if r.cur.bad {
			return
		}
		if err := r.define(id); err != nil {
			w.fail(err)
			return
		}
		if len(r.cur.b) > 0 {
			r.cur.uint()
		}
	}
}
