package mismatch

import "bytes"

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
// a header's type. That is a message which begins with the negative of the type's number,
// of 64 or more.
func isGob(head []byte) bool {
	_, head = gobUint(head)
	negative, rest := gobUint(head) // if it is odd
	return rest != nil && negative >= 127 && negative&1 == 1
}

// gobUint reads an unsigned integer: a byte below 128, or minus the number of bytes that
// follow, of which types and lengths have two at most. The rest is nil if it is none.
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
