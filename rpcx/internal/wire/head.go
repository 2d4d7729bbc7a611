package wire

// headSize is how many of the first bytes of each direction are kept.
const headSize = 128

// heads are the first bytes of each direction: what the two ends speak, while that is not
// certain.
type heads struct {
	sent, received []byte
	dropped        bool
}

// keep appends to a head what is missing of it.
func (h *heads) keep(head *[]byte, p []byte) {
	if room := headSize - len(*head); !h.dropped && room > 0 {
		*head = append(*head, p[:min(len(p), room)]...)
	}
}

// Heads returns the first bytes that were written, and that came, up to 128 of each; none
// after DropHeads.
func (w *Wire) Heads() (sent, received []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heads.sent, w.heads.received
}

// DropHeads lets go of them: the two ends understand each other.
func (w *Wire) DropHeads() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heads = heads{dropped: true}
}

// keepReceived keeps what has come if it belongs to the head.
func (w *Wire) keepReceived(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heads.keep(&w.heads.received, p)
}
