package mismatch

import "bytes"

// HeadSize is how many of the first bytes of a direction are enough to recognize it.
const HeadSize = 128

// protocol is what one end of a connection speaks.
type protocol uint8

const (
	unknown protocol = iota
	nothing          // no byte came
	gob
	json1
	json2
	http
	tls
)

func (p protocol) String() string {
	switch p {
	case gob:
		return "gob"
	case json1:
		return "JSON-RPC 1.0"
	case json2:
		return "JSON-RPC 2.0"
	}
	return "another protocol"
}

func (p protocol) isJSON() bool { return p == json1 || p == json2 }

// protocolOf recognizes a protocol by its first bytes.
func protocolOf(head []byte) protocol {
	switch text := bytes.TrimLeft(head, " \t\r\n\ufeff"); {
	case len(head) == 0:
		return nothing
	case bytes.HasPrefix(head, []byte("HTTP/")):
		return http
	case isTLS(head):
		return tls
	case isGob(head):
		return gob
	case len(text) == 0 || text[0] != '{' && text[0] != '[':
		return unknown
	case bytes.Contains(text, []byte(`"jsonrpc"`)):
		return json2
	}
	return json1
}

// isTLS reports whether a record of TLS begins, an alert or a handshake, of any version.
func isTLS(head []byte) bool {
	return len(head) >= 3 && (head[0] == 21 || head[0] == 22) && head[1] == 3 && head[2] <= 4
}

// isGob reports whether a stream of gob begins as net/rpc's do: with the definition of
// a header's type, which is a message of less than 128 bytes. Behind its length it has the
// negative of the type's number, of 64 or more: 0x7f, or two or three bytes that are odd
// behind their own count.
func isGob(head []byte) bool {
	if len(head) < 4 || head[0] >= 0x80 {
		return false
	}
	switch head[1] {
	case 0x7f:
		return true
	case 0xff:
		return head[2]&1 == 1
	case 0xfe:
		return head[3]&1 == 1
	}
	return false
}
