package codec

// Notifier is implemented by the JSON client codecs. Notify sends a notification,
// a request that gets no answer: whether it has been carried out, or could be, is
// not known. It may be called concurrently with itself and with WriteRequest,
// and its errors are WriteRequest's. A notification of JSON-RPC 2.0 has no id, and one of
// JSON-RPC 1.0 the id null; a server of net/rpc/jsonrpc carries it out and answers it, and
// the answer is ignored.
//
// It stands beside rpc.ClientCodec because net/rpc's Client waits for an answer
// to whatever it sends.
type Notifier interface {
	Notify(method string, args any) error
}

// Notify implements Notifier.
func (c *jsonClient) Notify(method string, args any) error {
	return c.writeAside(func(w *jsonWriter) error {
		if err := c.request(w, method, args); err != nil {
			return err
		}
		if !c.v2 {
			w.text(`,"id":null`)
		}
		w.text("}")
		c.notified.Store(true) // before it is sent: the answer may be faster
		return nil
	})
}
