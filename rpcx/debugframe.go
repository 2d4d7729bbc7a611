package rpcx

import (
	"encoding/json"
	"errors"
	"hash/maphash"
	"time"
)

// debugFrame is what a DebugHandler says at one moment, of all its clients. Frames of
// a stream leave out what has not changed since the one before.
type debugFrame struct {
	At       time.Time
	Controls bool // there is a token
	Whole    bool // nothing is left out
	Clients  []clientFrame
}

type clientFrame struct {
	Name         string
	Closed       bool
	PhiThreshold float64 // the phi that convicts
	Stats        statsFrame
	Gone         []string `json:",omitempty"` // endpoints of an earlier frame that are not in use any more
	Missed       uint64   `json:",omitempty"` // events that made room for others before this frame
	Events       []entry  // those after the last frame's, the oldest first
}

// statsFrame is a client's Stats with the endpoints that are to be shown.
type statsFrame struct {
	Stats
	Endpoints []json.RawMessage
}

// framer makes frames. The first is whole.
type framer struct {
	controls bool
	clients  []*framed
	framing  uint64 // counts frames
}

// framed is a client as the frames so far have shown it.
type framed struct {
	name   string
	client *Client
	seq    uint64 // of the last event shown
	shown  map[string]shown
}

// shown is an endpoint in an earlier frame.
type shown struct {
	sum     uint64 // of what was said of it
	framing uint64 // when it was last there
}

var frameSeed = maphash.MakeSeed()

// next returns what is new at now.
func (f *framer) next(now time.Time) debugFrame {
	f.framing++
	out := debugFrame{At: now, Controls: f.controls, Whole: f.framing == 1, Clients: make([]clientFrame, 0, len(f.clients))}
	for _, c := range f.clients {
		out.Clients = append(out.Clients, c.next(f.framing))
	}
	return out
}

func (c *framed) next(framing uint64) clientFrame {
	stats := c.client.Stats()
	changed := c.changed(framing, stats.Endpoints)
	out := clientFrame{
		Name: c.name, Closed: c.client.closed(), PhiThreshold: c.client.phiLimit,
		Stats: statsFrame{stats, changed}, Gone: c.gone(framing), // after changed, which has seen who is there
		Events: c.client.journal.since(c.seq),
	}
	if n := len(out.Events); n > 0 {
		out.Missed = out.Events[0].Seq - c.seq - 1
		c.seq = out.Events[n-1].Seq
	} else {
		out.Events = []entry{} // [] to a reader, not null
	}
	return out
}

// changed returns the endpoints that are not as they were shown last.
func (c *framed) changed(framing uint64, all []EndpointStats) []json.RawMessage {
	if c.shown == nil {
		c.shown = make(map[string]shown, len(all))
	}
	out := make([]json.RawMessage, 0, len(all))
	for _, e := range all {
		if e.Cause != nil {
			e.Cause = errors.New(bounded(words(e.Cause)))
		}
		text, err := json.Marshal(e)
		if err != nil {
			continue // out of reach: every field can be encoded
		}
		last, sum := c.shown[e.Address], maphash.Bytes(frameSeed, text)
		c.shown[e.Address] = shown{sum, framing}
		if last.framing == 0 || last.sum != sum {
			out = append(out, text)
		}
	}
	return out
}

// gone returns the endpoints that were shown before and are not there any more.
func (c *framed) gone(framing uint64) (out []string) {
	for addr, s := range c.shown {
		if s.framing != framing {
			out = append(out, addr)
			delete(c.shown, addr)
		}
	}
	return out
}
