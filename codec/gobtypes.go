package codec

import "errors"

// The limits on type definitions keep the recursion of package gob, which
// compiles a decoder for them, within a goroutine's stack.
const (
	maxGobTypes  = 1 << 16 // per connection
	maxGobDefs   = 4 << 20 // bytes of definitions, per connection
	maxGobFields = 1 << 20 // per struct
	maxGobDepth  = 100_000 // of one value
)

var (
	errGobStream = errors.New("codec: malformed gob stream")
	// errGobOwn refuses values of the types of which gob's own definitions
	// consist. A gob.Decoder takes them; a gob.Encoder cannot be made to send them.
	errGobOwn = errors.New("codec: gob value of a type that gob keeps to itself")
	// errGobKinds likewise refuses what only a forger sends.
	errGobKinds = errors.New("codec: gob type of several kinds, or none")
	// errGobUndefined likewise: a gob.Decoder does not miss the definition of a type
	// that stands where the receiver's own type is recursive.
	errGobUndefined = errors.New("codec: gob value of a type that was not defined")
	errGobCount     = errors.New("codec: gob value with more elements than bytes")
	// errGobWithin is errGobStream in or behind an interface. A gob.Decoder that
	// has no use for the interface skips it by its announced length.
	errGobWithin = errors.New("codec: malformed gob value in an interface")
)

type gobKind uint8

const (
	gobOpaque gobKind = iota // GobEncoder and its like: a run of bytes
	gobStruct
	gobArray // and slice
	gobMap
)

// The ids of gob's predefined types, fixed by its wire format.
const (
	gobBool = iota + 1
	gobInt
	gobUint
	gobFloat
	gobBytes
	gobString
	gobComplex
	gobInterface

	gobFirstUserID = 64
)

// gobType is what a peer's type definition says of the shape of its values.
type gobType struct {
	kind      gobKind
	key, elem int64
	fields    []gobField
	header    bool // has a header's fields, or none
	meta      bool // is a header with metadata, if it is one

	reach gobReach
}

type gobField struct {
	id   int64
	role headerField
}

// gobReach says what values of a type can hold.
type gobReach uint8

const (
	reachUnknown gobReach = iota
	reachPending          // being worked out: meeting it again is recursion
	reachPlain            // one message, of bounded depth, no map
	reachDeep             // has an interface, a map or itself in it
)

// headerField is the part that a field plays if its struct is a net/rpc header.
type headerField uint8

const (
	headerOther headerField = iota
	headerMethod
	headerSeq
	headerError
	headerMismatch // the name of one of the above with another type

	// The fields of metadata: see gobRequest and gobResponse.
	metaFlags
	metaDeadline
	metaTrace
	metaState
	metaSession
	metaCall
	metaRunning
	metaClock
)

func headerRole(name []byte, id int64) headerField {
	role, want := headerOther, int64(gobString)
	switch string(name) {
	case "ServiceMethod":
		role = headerMethod
	case "Seq":
		role, want = headerSeq, gobUint
	case "Error":
		role = headerError
	default:
		return metaRole(name, id)
	}
	if id != want {
		return headerMismatch
	}
	return role
}

// The positions of the fields of gob's wireType, of which one is set.
const (
	wireArray = iota
	wireSlice
	wireStruct
	wireMap
	wireGobEncoder
	wireBinaryMarshaler
	wireTextMarshaler
)

// gobTypeDef reads a type definition, a gob value of the type wireType.
func gobTypeDef(c *cursor) (*gobType, error) {
	t, seen := new(gobType), 0
	for i, ok := c.field(-1); ok; i, ok = c.field(i) {
		seen++
		switch i {
		case wireArray, wireSlice:
			t.kind = gobArray
			// An array's length is not needed: its values are counted anyway.
			c.definition(&t.elem, new(int64))
		case wireStruct:
			t.kind = gobStruct
			t.structDef(c)
		case wireMap:
			t.kind = gobMap
			c.definition(&t.key, &t.elem)
		case wireGobEncoder, wireBinaryMarshaler, wireTextMarshaler:
			t.kind = gobOpaque
			c.definition()
		default:
			c.bad = true
		}
	}
	switch {
	case c.bad:
		return nil, errGobStream
	case seen != 1:
		return nil, errGobKinds
	}
	return t, nil
}

// definition reads what most definitions consist of: a name and an id, which
// every one starts with and no reader needs, and then the given integers.
func (c *cursor) definition(ints ...*int64) {
	for i, ok := c.field(-1); ok; i, ok = c.field(i) {
		switch {
		case i == 0:
			c.common()
		case i <= len(ints):
			*ints[i-1] = c.int()
		default:
			c.bad = true
		}
	}
}

// common skips a name and an id.
func (c *cursor) common() {
	for i, ok := c.field(-1); ok; i, ok = c.field(i) {
		switch i {
		case 0:
			c.bytes()
		case 1:
			c.int()
		default:
			c.bad = true
		}
	}
}

func (t *gobType) structDef(c *cursor) {
	for i, ok := c.field(-1); ok; i, ok = c.field(i) {
		switch i {
		case 0:
			c.common()
		case 1:
			for n := c.uint(); n > 0 && !c.bad; n-- {
				if len(c.b) == 0 {
					c.bad = true // there are more fields than bytes
					return
				}
				f := gobFieldDef(c)
				t.fields = append(t.fields, f)
				t.header = t.header || f.role != headerOther && f.role <= headerMismatch
				t.meta = t.meta || f.role == metaFlags
			}
		default:
			c.bad = true
		}
	}
	// Every field of a header may be absent, but not its type's fields.
	t.header = t.header || len(t.fields) == 0
}

func gobFieldDef(c *cursor) (f gobField) {
	var name []byte
	for i, ok := c.field(-1); ok; i, ok = c.field(i) {
		switch i {
		case 0:
			name = c.bytes()
		case 1:
			f.id = c.int()
		default:
			c.bad = true
		}
	}
	f.role = headerRole(name, f.id)
	return f
}

type gobTypes map[int64]*gobType

// find returns the type that an id stands for, which is not one of the basic ones.
func (ts gobTypes) find(id int64) (*gobType, error) {
	switch t := ts[id]; {
	case t != nil:
		return t, nil
	case id > gobInterface && id < gobFirstUserID:
		return nil, errGobOwn
	}
	return nil, errGobUndefined
}

// plain reports whether a value of the type is surely one message, of a depth
// and size that its definition bounds.
func (ts gobTypes) plain(id int64) bool {
	if id < gobInterface {
		return true
	}
	t := ts[id]
	if t == nil {
		return false
	}
	if t.reach == reachUnknown {
		t.reach = reachPending
		if ts.partsPlain(t) {
			t.reach = reachPlain
		} else {
			t.reach = reachDeep
		}
	}
	return t.reach == reachPlain
}

func (ts gobTypes) partsPlain(t *gobType) bool {
	switch t.kind {
	case gobArray:
		return ts.plain(t.elem)
	case gobMap:
		return false
	case gobStruct:
		for _, f := range t.fields {
			if !ts.plain(f.id) {
				return false
			}
		}
	}
	return true
}
