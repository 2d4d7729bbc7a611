package mismatch

import "bytes"

// protocol is the protocol of one end of a connection.
type protocol uint8

const (
	unknown protocol = iota
	nothing          // no bytes were sent
	gob
	json1
	json2
	http
	tls
)

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

// isTLS reports whether head begins a TLS record of any version: an alert or a handshake.
func isTLS(head []byte) bool {
	return len(head) >= 3 && (head[0] == 21 || head[0] == 22) && head[1] == 3 && head[2] <= 4
}

// isGob reports whether head begins a gob stream of net/rpc. It begins with the definition
// of the header's type: a message whose first number is the negative id of the type. Ids
// begin at 64.
func isGob(head []byte) bool {
	_, head = gobUint(head)
	id, rest := gobUint(head) // odd if negative
	return rest != nil && id >= 127 && id&1 == 1
}

// gobUint reads an unsigned integer of up to two bytes: a byte below 128, or a negated
// count and that many bytes. The rest is nil if there is none.
func gobUint(b []byte) (n int, rest []byte) {
	switch {
	case len(b) > 0 && b[0] < 0x80:
		return int(b[0]), b[1:]
	case len(b) > 1 && b[0] == 0xff:
		return int(b[1]), b[2:]
	case len(b) > 2 && b[0] == 0xfe:
		return int(b[1])<<8 | int(b[2]), b[3:]
	}
	return 0, nil
}
