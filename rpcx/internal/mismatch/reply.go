package mismatch

import "fmt"

// Client describes a client's connection.
type Client struct {
	// Sent and Received are the first bytes in each direction; a hundred suffice.
	Sent, Received []byte
	// Inner says that the bytes are within TLS or after CONNECT, whose handshake has
	// succeeded.
	Inner bool
}

// Lost returns the error of a connection that has failed with err before its first reply:
// an [*Error] if there is an explanation, and otherwise err. known says that the peer has
// replied on another connection. Then only received bytes count, not a closed connection.
func (c Client) Lost(err error, known bool) error {
	if text := c.received(); text != "" {
		return &Error{Explanation: text, Seen: true, Instead: true, Err: err}
	}
	if len(c.Received) == 0 && !known && hungUp(err) {
		if text := c.closed(); text != "" {
			return &Error{Explanation: text, Err: err}
		}
	}
	return err
}

// IsForeign reports whether the received bytes certainly are not a part of a reply. This is
// never certain between the two versions of JSON-RPC.
func (c Client) IsForeign() bool {
	return c.received() != "" && !(protocolOf(c.Sent).isJSON() && protocolOf(c.Received).isJSON())
}

// received explains the received bytes, which may end within a message.
func (c Client) received() string {
	self, peer := protocolOf(c.Sent), protocolOf(c.Received)
	switch {
	case peer == nothing || peer == self || peer == json1 && self == json2:
		return ""
	case peer == http && self.isJSON():
		return "the peer is an HTTP server: for JSON-RPC over HTTP use package codec/jsonhttp"
	case peer == http:
		return "the peer is an HTTP server: if it serves net/rpc (rpc.HandleHTTP), set Dialer.HTTPPath or use DialHTTP"
	case peer == tls:
		return "the peer is a TLS server: set Dialer.TLSConfig"
	case peer == gob:
		return "the peer speaks gob, net/rpc's default: leave Dialer.Codec nil"
	case peer == json2:
		return "the peer speaks JSON-RPC 2.0: set Dialer.Codec to codec.NewJSON2Client"
	case peer == json1:
		return "the peer speaks JSON-RPC: set Dialer.Codec to codec.NewJSONClient"
	case self == unknown || len(c.Received) < certain:
		return ""
	}
	return fmt.Sprintf("the peer's first bytes are %.40q, and no reply: check the address", c.Received)
}

// certain is the number of bytes that suffice to recognize a protocol.
const certain = 8

// closed explains that the peer has closed the connection without sending anything.
func (c Client) closed() string {
	tls := " or a TLS server (set Dialer.TLSConfig)"
	if c.Inner {
		tls = ""
	}
	const proxy = ", and so does a proxy without a server behind it"
	switch self := protocolOf(c.Sent); {
	case self == gob:
		return "the peer has never answered: a JSON-RPC server (set Dialer.Codec)" + tls + " ends the connection like that when it is sent gob" + proxy
	case self.isJSON():
		return "the peer has never answered: a gob server (leave Dialer.Codec nil)" + tls + " ends the connection like that when it is sent JSON" + proxy
	}
	return ""
}

// Nudge returns bytes that a client may send to a peer that does not answer its first
// request, or nil. A server of the client's protocol ignores them. A server of another
// protocol answers them or closes the connection:
//
//   - A gob server reads the first brace of JSON as the length of a message, 123 bytes, and
//     waits for them. 123 blanks complete the message.
//   - An HTTP server waits for the end of a line. In gob, the definition of an unused type
//     has line breaks in its name.
func (c Client) Nudge() []byte {
	switch self := protocolOf(c.Sent); {
	case self == gob:
		return gobNudge
	case self.isJSON():
		return blanks[:]
	}
	return nil
}

// gobNudge defines type 1<<30, a struct without fields.
var gobNudge = []byte("\x16" + "\xfc\x7f\xff\xff\xff" + // the negative id
	"\x03\x01" + "\x01\x04\r\n\r\n" + "\x01\xfc\x80\x00\x00\x00" + "\x00\x00\x00")

var blanks = func() (b [123]byte) {
	for i := range b {
		b[i] = ' '
	}
	return b
}()
