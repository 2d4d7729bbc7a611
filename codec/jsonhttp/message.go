package jsonhttp

import (
	"bytes"
	"encoding/json"
	"strings"

	"resilientrpc/codec"
)

const contentType = "application/json"

// byteOrderMark may stand before JSON and is ignored (RFC 8259, section 8.1).
var byteOrderMark = []byte("\xEF\xBB\xBF")

// reply is a reply that was found in a response's body.
type reply struct {
	text    []byte // as the specification wants it; nil if there is none
	failure error  // the *codec.Error in it; nil if it is a result
}

// readReply finds the reply to the request with the given id in a response's body.
// The response belongs to the request, so that a reply with another id, or none, is
// its reply, too, as are one in an array, and one whose members are spelled Result or
// Error. The error is for what begins like a reply and is malformed.
func readReply(id json.RawMessage, body []byte) (reply, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, byteOrderMark))
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return reply{}, nil
	}
	object, err := unwrapped(id, body)
	if object == nil {
		return reply{}, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(object, &m); err != nil {
		return reply{}, err
	}
	result, failure := member(m, "result"), member(m, "error")
	if result != nil && isNothing(failure) {
		failure = nil
	}
	if result == nil && failure == nil {
		return reply{}, nil
	}
	r := reply{text: written(id, result, failure)}
	if failure != nil && string(failure) != "null" {
		r.failure = errorObject(failure)
	}
	return r, nil
}

// unwrapped returns the object in the body, which may be an array with only it in it
// or with replies to others beside it; nil if there is none.
func unwrapped(id json.RawMessage, body []byte) (json.RawMessage, error) {
	if body[0] == '{' {
		return body, nil
	}
	var batch []json.RawMessage
	if err := json.Unmarshal(body, &batch); err != nil {
		return nil, err
	}
	for _, one := range batch {
		var m map[string]json.RawMessage
		if json.Unmarshal(one, &m) == nil && m != nil && (len(batch) == 1 || string(member(m, "id")) == string(id)) {
			return one, nil
		}
	}
	return nil, nil
}

// member returns the member of that name, or else of that name in another spelling;
// nil if there is none.
func member(m map[string]json.RawMessage, name string) json.RawMessage {
	if value, ok := m[name]; ok {
		return value
	}
	for other, value := range m {
		if strings.EqualFold(other, name) {
			return value
		}
	}
	return nil
}

// isNothing reports whether an error beside a result says that there is none.
func isNothing(failure json.RawMessage) bool {
	switch string(failure) {
	case "", "null", "false", "0", `""`:
		return true
	}
	return false
}

// errorObject reads an error, or what stands in its place.
func errorObject(failure json.RawMessage) *codec.Error {
	e := new(codec.Error)
	if json.Unmarshal(failure, e) != nil || e.Code == 0 && e.Message == "" {
		return &codec.Error{Message: string(failure)}
	}
	return e
}

// written is a reply as the specification wants it.
func written(id, result, failure json.RawMessage) []byte {
	parts := [][]byte{[]byte(`{"jsonrpc":"2.0","id":`), id}
	if result != nil {
		parts = append(parts, []byte(`,"result":`), result)
	}
	if failure != nil {
		parts = append(parts, []byte(`,"error":`), failure)
	}
	return bytes.Join(append(parts, []byte("}\n")), nil)
}
