package codec

// Notifier is implemented by the JSON client codecs. net/rpc's Client has no
// notifications.
type Notifier interface {
	// Notify sends a notification: a request without a reply. So the client does not
	// learn whether the method has run. The errors are those of WriteRequest. Notify may
	// be called concurrently with itself and with WriteRequest.
	//
	// A notification has no id in JSON-RPC 2.0, and the id null in 1.0. A net/rpc/jsonrpc
	// server runs it and replies; the client ignores the reply.
	Notify(method string, args any) error
}

// Notify implements Notifier.
func (c *jsonClient) Notify(method string, args any) error {
	return c.writeUnframed(func(w *jsonWriter) error {
		if err := c.request(w, method, args); err != nil {
			return err
		}
		if !c.v2 {
			w.text(`,"id":null`)
		}
		w.text("}")
		c.notified.Store(true) // before the write, since a reply may arrive before it returns
		return nil
	})
}
