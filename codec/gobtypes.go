package codec

import "errors"

// The limits on type definitions. Package gob recurses over them and could overflow the
// stack.
const (
	maxGobTypes  = 1 << 16 // per connection
	maxGobDefs   = 4 << 20 // bytes of definitions, per connection
	maxGobFields = 1 << 20 // per struct
	maxGobDepth  = 100_000 // of one value
)

var (
	errGobStream = errors.New("codec: malformed gob stream")
	// A gob.Encoder never sends the following three, but a gob.Decoder may accept them.
	errGobOwn       = errors.New("codec: gob value of a type that gob uses for type definitions")
	errGobKinds     = errors.New("codec: gob type of several kinds, or none")
	errGobUndefined = errors.New("codec: gob value of a type that was not defined")
	errGobCount     = errors.New("codec: gob value with more elements than bytes")
	// errGobWithin is errGobStream within or after an interface. A gob.Decoder that
	// ignores the interface would skip it by its length.
	errGobWithin = errors.New("codec: malformed gob value in an interface")
)

type gobKind uint8

const (
	gobOpaque gobKind = iota // bytes of a GobEncoder, BinaryMarshaler or TextMarshaler
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

// gobType is a type that the peer has defined.
type gobType struct {
	kind      gobKind
	key, elem int64 // ids of types
	fields    []gobField
	header    bool // has fields of a header, or no fields
	meta      bool // has a header's field Meta

	reach gobReach
}

type gobField struct {
	id   int64
	role headerField
}

// gobReach says which other types a value of a type can contain.
type gobReach uint8

const (
	reachUnknown gobReach = iota
	reachPending          // being computed; if it is found again, the type is recursive
	reachPlain            // no interface or map, and not recursive: one message of bounded depth
	reachDeep             // has an interface or a map, or is recursive
)

// headerField is the role of a field in a net/rpc header.
type headerField uint8

const (
	headerOther headerField = iota
	headerMethod
	headerSeq
	headerError
	headerMismatch // has the name of one of these, but another type

	// The fields of metadata: see gobRequest and gobResponse.
	metaFlags
	metaDeadline
	metaTrace
	metaState
	metaCall
	metaPending
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

// The numbers of the fields of gob's wireType. A definition has exactly one of them.
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
			// An array's length is not needed: each value has a count.
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

// definition reads a definition: it skips its name and id, and reads the integers that
// follow into ints.
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
					c.bad = true // more fields than bytes
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
	// A type without fields may be a header, since gob omits zero fields.
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

// find returns the type with an id that is not one of a basic type.
func (ts gobTypes) find(id int64) (*gobType, error) {
	switch t := ts[id]; {
	case t != nil:
		return t, nil
	case id > gobInterface && id < gobFirstUserID:
		return nil, errGobOwn
	}
	return nil, errGobUndefined
}

// plain reports whether a value of the type is one message, with a depth and a size that
// the definition bounds.
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
