package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// The error codes of JSON-RPC 2.0 (section 5.1). A server of this package sends
// CodeServerError for an error that the method returns.
const (
	CodeParseError     = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternalError  = -32603
	CodeServerError    = -32000
)

// An Error is the error object of a JSON-RPC reply (2.0, section 5.1). A client codec
// returns it by ErrorReader; with package rpcx, errors.As finds it.
//
// A method cannot choose the error object. net/rpc passes only the text of its error to
// the codec, which sends it as the message, with CodeServerError.
type Error struct {
	// Code is 0 if it is absent or null, and CodeServerError if it is not an integer of
	// type int.
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"` // as received; nil if absent

	hint string // what to change if the versions differ; mostly empty
}

// Error returns the message or, without a message, the code. If the server seems to speak
// another version of JSON-RPC than the client, it adds what to change.
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

// ErrorReader is implemented by the JSON client codecs. ReadError returns the error of the
// last reply: an *Error for an error object, and an *ExchangeError if the call got no
// reply. It returns nil if the reply has no error or, in version 1.0, an error that is not
// an object. The reading goroutine may call it after ReadResponseHeader.
type ErrorReader interface{ ReadError() error }

// jsonError reads an error member. In version 2.0 it is an object, and in net/rpc's dialect
// a string. Other peers of version 1.0 may send any value.
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
		e.Message = string(failure) // an object of an unknown form: show all of it
	}
	return e, true
}

// jsonCode reads an error code, which some peers put in quotes or write as a float. If it
// is not an integer of type int, jsonCode returns CodeServerError and false.
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

// unquoted returns value without quotes.
func unquoted(value []byte) []byte {
	if len(value) > 1 && value[0] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// jsonErrorText returns the text of a value that should be a string.
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
