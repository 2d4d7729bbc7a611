package transport

import (
	"math"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/peerclock"
)

// metadata is what a connection says beside net/rpc's headers, to a server that
// understands it: see codec.MetaClient. Its zero value says nothing.
type metadata struct {
	codec codec.MetaClient // nil if the connection carries none

	request codec.RequestMeta // the writer's, as the next ones
	begun   bool              // a request was
	written uint64            // requests and notifications
	pending uint64            // of the request that is being written: see codec.RequestMeta
	clock   peerclock.Clock

	remembers atomic.Bool // the server does
	oldest    uint64      // no exchange in flight has a smaller number; guarded by Conn.mu, as the next one
	first     uint64      // none has a smaller position, as far as is known
}

// lookEvery is how often the oldest exchange in flight is looked for, while there are several.
const lookEvery = 8

func (m *metadata) init(inner any) {
	if m.codec, _ = inner.(codec.MetaClient); m.codec != nil {
		m.codec.UseMeta()
	}
}

// of returns the metadata of a request that is about to be written, or nil.
func (m *metadata) of(x *Exchange) *codec.RequestMeta {
	if x.Deadline.IsZero() && !x.Retry && x.Trace == nil && !x.kept {
		return nil
	}
	m.request = codec.RequestMeta{Retry: x.Retry}
	if x.kept {
		m.request.Call, m.request.Pending = x.position+m.pending, m.pending
	}
	if !x.Deadline.IsZero() {
		m.request.Deadline = m.clock.Deadline(x.Deadline)
	}
	if x.Trace != nil {
		m.request.Trace = *x.Trace
	}
	return &m.request
}

// begin notes that a request is about to be written.
func (m *metadata) begin(x *Exchange) {
	switch {
	case m.codec == nil || m.begun:
	case x.Begun.IsZero():
		m.clock.Begin(time.Now())
	default:
		m.clock.Begin(x.Begun)
	}
	m.begun = true
}

// heardMeta notes what the server says beside a reply.
func (c *Conn) heardMeta(x *Exchange, r *reply) {
	if !c.meta.understood() {
		return
	}
	said := c.meta.codec.ResponseMeta()
	r.noRetry = said.NoRetry
	if !x.Begun.IsZero() {
		c.meta.clock.Observe(x.Begun, said.Clock)
	}
	if said.Running > 0 {
		running := said.Running
		if x.Background {
			running-- // a ping is no load
		}
		c.cfg.Observer.Loaded(running, r.at)
	}
}

// Remember says that the server remembers requests with Keep, and has said by what name of the
// connection it can be asked about them.
func (c *Conn) Remember() { c.meta.remembers.Store(true) }

// number gives a request its position. If the server is to remember it, it also finds out what
// is pending: the other answers it may forget. The caller holds writing and mu.
func (c *Conn) number(x *Exchange) {
	m := &c.meta
	if m.codec == nil {
		return
	}
	x.position = m.written + 1
	if x.kept = x.Keep && m.remembers.Load(); !x.kept {
		return
	}
	switch {
	case len(c.inflight) == 1:
		m.oldest, m.first = x.seq, x.position
	case x.position%lookEvery == 0:
		m.oldest = oldest(c.inflight, m.oldest)
		m.first = c.inflight[m.oldest].position
	}
	m.pending = x.position - max(m.first, 1)
}

// oldest returns the smallest number of the exchanges in flight, of which there are some, given
// one that is not larger. It looks at about as many numbers as there are exchanges: the given
// one may be that of a request long ago.
func oldest(inflight map[uint64]*Exchange, from uint64) uint64 {
	for seq := from; seq-from < uint64(len(inflight)); seq++ {
		if inflight[seq] != nil {
			return seq
		}
	}
	least := uint64(math.MaxUint64)
	for seq := range inflight {
		least = min(least, seq)
	}
	return least
}

// understood reports whether the server is known to understand metadata.
func (m *metadata) understood() bool {
	return m.codec != nil && m.codec.MetaSupport() == codec.MetaUnderstood
}

// Metadata says what is known of the server's understanding of metadata.
func (c *Conn) Metadata() codec.MetaSupport {
	if c.meta.codec == nil {
		return codec.MetaIgnored
	}
	return c.meta.codec.MetaSupport()
}

// EnableMeta says that the server has announced that it understands metadata.
func (c *Conn) EnableMeta() {
	if c.meta.codec != nil {
		c.meta.codec.SetMetaSupport(true)
	}
}

// Cancel tells the server that the answer to an exchange is of no use any more. The exchange
// goes on until it comes. It does nothing for a server that would not understand it.
func (c *Conn) Cancel(x *Exchange) {
	if !c.meta.understood() || c.wire == nil || c.wire.Full() {
		return
	}
	c.mu.Lock()
	seq, wanted := x.seq, x.issued && c.state != closed && c.inflight[x.seq] == x
	x.canceled = x.canceled || wanted
	c.mu.Unlock()
	if !wanted {
		return
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.mute.Load() {
		return
	}
	c.meta.codec.WriteCancel(seq) //nolint:errcheck // the connection has ended, and its exchanges know
}
