package jsonhttp

import (
	"encoding/json"

	"resilientrpc/codec"
)

const contentType = "application/json"

// message has the members of a request or a reply that matter here.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// idOf returns the id of a request, nil if it is a notification.
func idOf(request []byte) json.RawMessage {
	var m message
	if json.Unmarshal(request, &m) != nil {
		return nil
	}
	return m.ID
}

// settle returns the reply in a response's body, or nil if there is none. Whose
// it is is known: an error without an id, or with null, gets the request's.
func settle(request, body []byte) []byte {
	var m message
	if json.Unmarshal(body, &m) != nil || m.Result == nil && m.Error == nil {
		return nil
	}
	id := idOf(request)
	if id == nil {
		return nil
	}
	if string(m.ID) == string(id) {
		return body
	}
	m.Version, m.ID = "2.0", id
	return marshal(m)
}

// refusal makes a reply of an error; nil for a notification, which gets none.
func refusal(request []byte, err error) []byte {
	id := idOf(request)
	if id == nil {
		return nil
	}
	text, _ := json.Marshal(&codec.Error{Code: codec.CodeInternalError, Message: err.Error()}) //nolint:errcheck // it has no data
	return marshal(message{Version: "2.0", ID: id, Error: text})
}

func marshal(m message) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // out of reach: all of it is well-formed
	}
	return b
}
