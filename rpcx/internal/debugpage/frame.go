package debugpage

import (
	"encoding/json"
	"hash/maphash"
	"time"
)

// frame is the state of all clients at one moment. In a stream, a frame has only the
// endpoints and events that have changed since the previous frame.
type frame struct {
	At       time.Time
	Controls bool // the page has controls
	Whole    bool // the frame has all endpoints
	Clients  []clientFrame
}

type clientFrame struct {
	Name         string
	Closed       bool
	PhiThreshold float64  // the phi that convicts
	Stats        any      // with the endpoints that have changed
	Gone         []string `json:",omitempty"` // addresses that are no longer in use
	Missed       uint64   `json:",omitempty"` // number of events dropped since the previous frame
	Events       []Event  // events added or repeated since the previous frame, the oldest first
}

// framer makes the frames for one reader. The first one is whole.
type framer struct {
	controls bool
	clients  []*clientFramer
	count    uint64 // number of frames
}

// clientFramer keeps track of what the previous frames have shown of a client.
type clientFramer struct {
	name   string
	client Client
	seq    uint64 // largest Event.Seq shown
	rev    uint64 // largest Event.Rev shown
	shown  map[string]shown
}

// shown is an endpoint in a previous frame.
type shown struct {
	sum   uint64 // hash of its JSON
	frame uint64 // number of the last frame in which it was in use
}

var sumSeed = maphash.MakeSeed()

// next returns the next frame.
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

// events returns the events that were added or repeated since the previous frame, and the
// number of events that were dropped since then.
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

// changed returns the endpoints that have changed since the previous frame.
func (c *clientFramer) changed(number uint64, all []Endpoint) []json.RawMessage {
	if c.shown == nil {
		c.shown = make(map[string]shown, len(all))
	}
	out := make([]json.RawMessage, 0, len(all))
	for _, e := range all {
		text, err := json.Marshal(e.Figures)
		if err != nil {
			continue // cannot happen: figures can be encoded
		}
		last, sum := c.shown[e.Address], maphash.Bytes(sumSeed, text)
		c.shown[e.Address] = shown{sum, number}
		if last.frame == 0 || last.sum != sum {
			out = append(out, text)
		}
	}
	return out
}

// gone returns the endpoints of previous frames that are no longer in use.
func (c *clientFramer) gone(number uint64) (out []string) {
	for addr, s := range c.shown {
		if s.frame != number {
			out = append(out, addr)
			delete(c.shown, addr)
		}
	}
	return out
}
