package debugpage

import (
	"encoding/json"
	"hash/maphash"
	"time"
)

// frame is the state of all clients at one moment. A frame of a stream leaves out the
// endpoints and events that have not changed since the previous frame.
type frame struct {
	At       time.Time
	Controls bool // there is a token
	Whole    bool // nothing is left out
	Clients  []clientFrame
}

type clientFrame struct {
	Name         string
	Closed       bool
	PhiThreshold float64  // the phi that convicts
	Stats        any      // with the endpoints that have changed
	Gone         []string `json:",omitempty"` // endpoints of an earlier frame that are not in use any more
	Missed       uint64   `json:",omitempty"` // events that were dropped before this frame
	Events       []Event  // those added or repeated since the previous frame, the oldest first
}

// framer makes the frames of one reader. The first one is whole.
type framer struct {
	controls bool
	clients  []*clientFramer
	count    uint64 // of frames
}

// clientFramer remembers what the frames so far have shown of a client.
type clientFramer struct {
	name   string
	client Client
	seq    uint64 // of the newest event shown
	rev    uint64 // of the latest change of an event that was shown
	shown  map[string]shown
}

// shown is an endpoint in an earlier frame.
type shown struct {
	sum   uint64 // of its JSON
	frame uint64 // the number of the last frame in which it was in use
}

var sumSeed = maphash.MakeSeed()

// next returns what has changed since the previous frame.
func (f *framer) next(now time.Time) frame {
	f.count++
	out := frame{At: now, Controls: f.controls, Whole: f.count == 1, Clients: make([]clientFrame, 0, len(f.clients))}
	for _, c := range f.clients {
		out.Clients = append(out.Clients, c.next(f.count))
	}
	return out
}

func (c *clientFramer) next(number uint64) clientFrame {
	state := c.client.State()
	out := clientFrame{Name: c.name, Closed: state.Closed, PhiThreshold: state.PhiThreshold}
	out.Stats = state.Figures(c.changed(number, state.Endpoints))
	out.Gone = c.gone(number) // after changed, which marks the endpoints in use
	out.Events, out.Missed = c.events()
	return out
}

// events returns the events that were added or repeated since the previous frame, and how
// many were dropped meanwhile.
func (c *clientFramer) events() (all []Event, missed uint64) {
	all = c.client.Events(c.rev)
	for _, e := range all {
		c.rev = max(c.rev, e.Rev)
		if e.Seq > c.seq {
			missed += e.Seq - c.seq - 1
			c.seq = e.Seq
		}
	}
	if all == nil {
		all = []Event{} // [] in JSON, not null
	}
	return all, missed
}

// changed returns the endpoints that are not as they were shown last.
func (c *clientFramer) changed(number uint64, all []Endpoint) []json.RawMessage {
	if c.shown == nil {
		c.shown = make(map[string]shown, len(all))
	}
	out := make([]json.RawMessage, 0, len(all))
	for _, e := range all {
		text, err := json.Marshal(e.Figures)
		if err != nil {
			continue // unreachable: figures can be encoded
		}
		last, sum := c.shown[e.Address], maphash.Bytes(sumSeed, text)
		c.shown[e.Address] = shown{sum, number}
		if last.frame == 0 || last.sum != sum {
			out = append(out, text)
		}
	}
	return out
}

// gone returns the endpoints that were shown before and are not in use any more.
func (c *clientFramer) gone(number uint64) (out []string) {
	for addr, s := range c.shown {
		if s.frame != number {
			out = append(out, addr)
			delete(c.shown, addr)
		}
	}
	return out
}
