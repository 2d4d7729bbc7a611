package simnet

import "time"

// A flow is what becomes of the bytes of an address's connections.
type flow uint8

const (
	flowing    flow = iota
	stalled         // kept, not delivered
	blackholed      // never delivered
)

// Delay makes every byte, end of stream and half of a dial's round trip take
// d from now on. Bytes already on their way keep their time, and no byte
// overtakes another. Zero, the default, is no delay.
func (n *Network) Delay(address string, d time.Duration) {
	n.change(address, func(h *host) {
		h.delay = d
		h.eachPipe(func(p *pipe) { p.setDelay(d) })
	})
}

// Replies makes each write of the server's take what further returns at that time, in addition
// to Delay, from now on. Nil, the default, is nothing. As no byte overtakes another, what follows
// a late one waits for it. further is called with a lock held and must not use n; calls for
// several connections may be concurrent.
func (n *Network) Replies(address string, further func() time.Duration) {
	n.change(address, func(h *host) {
		h.replies = further
		for l := range h.links {
			l.pipes[1].setFurther(further)
		}
	})
}

// Stall does to address what SIGSTOP does to a server's process: writes fill
// the buffers, nothing is delivered either way, nothing is accepted, and yet
// dials succeed as long as the backlog has room. It holds for connections old
// and new until Resume, which delivers what has been kept.
func (n *Network) Stall(address string) {
	n.change(address, func(h *host) { h.setFlow(stalled) })
}

// Blackhole makes address unreachable without a word, as a pulled plug or a
// firewall's DROP does: dials hang until their context ends and what is
// written vanishes, while filling the buffer as unacknowledged bytes do. An
// end of stream vanishes too. After Resume, dials that still hang succeed and
// connections that lost nothing go on; those that did stay silent for ever,
// for a stream cannot have a hole.
func (n *Network) Blackhole(address string) {
	n.change(address, func(h *host) { h.setFlow(blackholed) })
}

// Refuse makes new dials to address fail with ECONNREFUSED although somebody
// listens. Connections that exist go on. Cut and Refuse together are what a
// killed process looks like.
func (n *Network) Refuse(address string) {
	n.change(address, func(h *host) { h.refuse = true })
}

// Cut resets every connection of address: from now on, reads and writes at
// both ends fail with ECONNRESET, at once and whatever was still on its way,
// and also if address is stalled or blackholed. New dials are not affected.
func (n *Network) Cut(address string) {
	n.change(address, (*host).cut)
}

// Resume ends Stall, Blackhole and Refuse at address.
func (n *Network) Resume(address string) {
	n.change(address, func(h *host) {
		h.refuse = false
		h.setFlow(flowing)
	})
}

// change applies f to the host at address and wakes the goroutines that wait for it.
func (n *Network) change(address string, f func(*host)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(address)
	f(h)
	h.changed.fire()
}

func (h *host) cut() {
	h.eachPipe((*pipe).reset)
	clear(h.links)
	if h.ln != nil {
		h.ln.backlog = nil
	}
}

func (h *host) setFlow(f flow) {
	h.flow = f
	h.eachPipe(func(p *pipe) { p.setFlow(f) })
}

func (h *host) eachPipe(f func(*pipe)) {
	for l := range h.links {
		f(l.pipes[0])
		f(l.pipes[1])
	}
}
