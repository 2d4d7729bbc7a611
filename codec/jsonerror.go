package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// The error codes that JSON-RPC 2.0 defines (section 5.1), and the one that a
// server of this package gives a method's own error.
const (
	CodeParseError     = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternalError  = -32603
	CodeServerError    = -32000
)

// An Error is the error object of a JSON-RPC reply (2.0, section 5.1). A client
// gets at it through ErrorReader; package rpcx makes it reachable by errors.As.
//
// A server cannot send one of a method's choosing: net/rpc hands a codec the
// text of a method's error and nothing else, so that it goes out as the message
// with CodeServerError.
type Error struct {
	// Code is 0 if it is absent or null, and CodeServerError if it is anything but an
	// integer that an int holds.
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"` // as received; nil if absent

	hint string // of another version; empty as a rule
}

// Error returns the message, or names the code if there is none. If the server seems to
// speak another version of JSON-RPC than the client, it says what to change.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = fmt.Sprintf("JSON-RPC error %d", e.Code)
	}
	if e.hint != "" {
		text += "; " + e.hint
	}
	return text
}

// ErrorReader is implemented by the JSON client codecs. ReadError may be called
// between ReadResponseHeader and the next one, by the goroutine that reads. It
// returns the error object of that reply as an *Error, or what ended the call without
// a reply as an *ExchangeError. It is nil if the reply has no error, or, in version
// 1.0, one that is not an object.
type ErrorReader interface{ ReadError() error }

// jsonError reads an error member. It is an object in version 2.0, a string in
// net/rpc's dialect, and anything at all elsewhere.
func jsonError(failure []byte) (e *Error, object bool) {
	e = new(Error)
	if failure[0] != '{' {
		e.Message = jsonErrorText(failure)
		return e, false
	}
	coded := false
	for name, value := range jsonMembers(failure) {
		switch {
		case bytes.EqualFold(name, []byte("code")) && notNull(value) != nil:
			e.Code, coded = jsonCode(value)
		case bytes.EqualFold(name, []byte("message")):
			e.Message = jsonErrorText(value)
		case bytes.EqualFold(name, []byte("data")) && notNull(value) != nil:
			e.Data = bytes.Clone(value)
		}
	}
	if e.Message == "" && !coded {
		e.Message = string(failure) // no convention: show it all
	}
	return e, true
}

// jsonCode reads an error code, which some peers put in quotes or write as a float.
// It is CodeServerError, and ok false, if it is no integer, or none that an int
// holds.
func jsonCode(value []byte) (code int, ok bool) {
	text := string(unquoted(value))
	if n, err := strconv.Atoi(text); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > min(1<<53, math.MaxInt) {
		return CodeServerError, false
	}
	return int(f), true
}

// unquoted takes quotes off, if there are any.
func unquoted(value []byte) []byte {
	if len(value) > 1 && value[0] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// jsonErrorText is the text of what should be a string.
func jsonErrorText(value []byte) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return string(value)
	}
	if s == "" {
		return "unspecified error"
	}
	return s
}
