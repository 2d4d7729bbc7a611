package jsonhttp

import (
	"bytes"
	"encoding/json"
	"strings"

	"resilientrpc/codec"
)

const contentType = "application/json"

// byteOrderMark is ignored before JSON (RFC 8259, section 8.1).
var byteOrderMark = []byte("\xEF\xBB\xBF")

// reply is the JSON-RPC reply in the body of a response.
type reply struct {
	text    []byte // in the form of the specification; nil if there is no reply
	failure error  // the *codec.Error of an error reply, or nil
}

// readReply finds the reply to the request with the given id in the body of its response.
// It accepts another id or none, a reply in an array, and members spelled Result or Error.
// It returns an error if the body begins like JSON but is malformed.
func readReply(id json.RawMessage, body []byte) (reply, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, byteOrderMark))
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return reply{}, nil
	}
	object, err := replyObject(id, body)
	if object == nil {
		return reply{}, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(object, &m); err != nil {
		return reply{}, err
	}
	result, failure := member(m, "result"), member(m, "error")
	if result != nil && isNoError(failure) {
		failure = nil
	}
	if result == nil && failure == nil {
		return reply{}, nil
	}
	r := reply{text: formatReply(id, result, failure)}
	if failure != nil && string(failure) != "null" {
		r.failure = errorObject(failure)
	}
	return r, nil
}

// replyObject returns the reply in the body or, if the body is an array, the only element
// or the one with the id. It returns nil if there is none.
func replyObject(id json.RawMessage, body []byte) (json.RawMessage, error) {
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

// member returns the member with a name, in any case of letters, or nil. It prefers the
// exact name.
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

// isNoError reports whether the member error of a reply with a result means no error.
func isNoError(failure json.RawMessage) bool {
	switch string(failure) {
	case "", "null", "false", "0", `""`:
		return true
	}
	return false
}

// errorObject reads an error object. Another value becomes the message.
func errorObject(failure json.RawMessage) *codec.Error {
	e := new(codec.Error)
	if json.Unmarshal(failure, e) != nil || e.Code == 0 && e.Message == "" {
		return &codec.Error{Message: string(failure)}
	}
	return e
}

// formatReply returns a reply in the form of the specification.
func formatReply(id, result, failure json.RawMessage) []byte {
	parts := [][]byte{[]byte(`{"jsonrpc":"2.0","id":`), id}
	if result != nil {
		parts = append(parts, []byte(`,"result":`), result)
	}
	if failure != nil {
		parts = append(parts, []byte(`,"error":`), failure)
	}
	return bytes.Join(append(parts, []byte("}\n")), nil)
}
