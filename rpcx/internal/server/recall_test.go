package server

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/protocol"
)

const keepFor = time.Minute

// scenario is a memory with one session, beside what is true of its calls.
type scenario struct {
	t       *testing.T
	m       *memory
	session protocol.Session
	asker   *conn
	conn    *conn
	start   time.Time
	now     time.Time

	sent    uint64             // requests, of which each that is read is the next
	begun   map[uint64]*record // calls whose methods have been started
	ended   map[uint64]bool    // of these, those that have ended
	refused map[uint64]bool    // calls that were read and not run
	acked   uint64             // the client has the answers up to this one
	proof   map[uint64]bool    // calls of which it was said that they do not run
	asked   bool
	dropped bool // something may have been forgotten for want of room or time
	closed  bool
}

func newScenario(t *testing.T, limit int64) *scenario {
	w := &scenario{
		t: t, m: newMemory(limit, keepFor), begun: make(map[uint64]*record), ended: make(map[uint64]bool),
		refused: make(map[uint64]bool), proof: make(map[uint64]bool),
	}
	w.start, w.now, w.dropped = w.m.now, w.m.now, limit < 1<<20
	w.conn, w.asker = w.open(), w.open()
	said := w.m.welcome(w.conn)
	session, ok := said.Names()
	require.True(t, ok)
	w.session = session
	w.m.welcome(w.asker)
	return w
}

func (w *scenario) open() *conn {
	near, far := net.Pipe()
	far.Close()
	s := &serving{memory: w.m, counters: new(Counters), log: slog.New(slog.DiscardHandler)}
	return newConn(s, near)
}

// read reads a request; remembered says that it is to be, and pending how many before it the
// client has no answer to.
func (w *scenario) read(remembered bool, pending uint64) {
	w.sent++
	q := &request{conn: w.conn, caller: &caller{conn: w.conn}}
	if !remembered {
		w.conn.count.Add(1)
		if w.asked {
			require.NotNil(w.t, w.conn.retired.Load(), "it would run")
		} else {
			w.begun[w.sent] = nil
		}
		return
	}
	q.caller.meta.Pending = min(pending, w.sent-1)
	q.caller.meta.Call = w.sent + q.caller.meta.Pending
	r, err := w.m.begin(q)
	if err != nil {
		require.True(w.t, w.asked, "refused for nothing: %v", err)
		w.refused[w.sent] = true
		return
	}
	require.False(w.t, w.asked, "it runs although the answer was final")
	w.acked = max(w.acked, w.sent-1-q.caller.meta.Pending)
	w.begun[w.sent] = r
}

// damaged reads a request whose number has changed on the way.
func (w *scenario) damaged() {
	w.sent++
	q := &request{conn: w.conn, caller: &caller{conn: w.conn}}
	q.caller.meta.Call = w.sent + 1
	_, err := w.m.begin(q)
	require.Error(w.t, err)
	w.refused[w.sent] = true
}

// finish ends the method of the oldest call that runs.
func (w *scenario) finish() {
	for n := uint64(1); n <= w.sent; n++ {
		if r := w.begun[n]; r != nil && !w.ended[n] {
			w.ended[n] = true
			w.m.finish(r, fmt.Sprint("answer ", n), n, 100)
			return
		}
	}
}

// ask asks about a call, and checks the answer beside the truth.
func (w *scenario) ask(n uint64) {
	q := protocol.NewRecall(w.session, n, false)
	r, done, why := w.m.recall(&q, w.asker)
	require.Nil(w.t, done)
	_, ran := w.begun[n]
	known := w.m.sessions[w.session] != nil
	w.asked = w.asked || known
	switch {
	case r != nil:
		require.Equal(w.t, fmt.Sprint("answer ", n), r.failure)
		require.Equal(w.t, n, r.body)
		require.True(w.t, w.ended[n])
	case why.SaysNotRun():
		require.False(w.t, ran, "call %d has run", n)
		require.True(w.t, errors.Is(why, q.NotRun()))
		w.proof[n] = true
	case why == protocol.ErrRuns:
		require.True(w.t, ran && !w.ended[n], "call %d", n)
	case why == protocol.ErrForgotten:
		require.True(w.t, !known || w.dropped || n <= w.acked || ran && w.begun[n] == nil, "call %d is not known", n)
	default:
		require.Fail(w.t, why.Error())
	}
	if known && ran && !w.ended[n] && w.begun[n] != nil { // what runs is never forgotten
		require.Equal(w.t, protocol.ErrRuns, why)
	}
	if known && !ran && !w.dropped && n > w.acked {
		require.True(w.t, why.SaysNotRun(), "call %d: %v", n, why)
	}
}

func (w *scenario) sweep(d time.Duration) {
	w.now = w.now.Add(d)
	w.m.sweep(w.now)
	w.dropped = w.dropped || w.now.Sub(w.start) > keepFor
}

// events are what may happen, in any order.
var scenarioEvents = []struct {
	name string
	do   func(w *scenario)
}{
	{"read", func(w *scenario) { w.read(true, 100) }},
	{"read, acknowledging", func(w *scenario) { w.read(true, 0) }},
	{"read, acknowledging some", func(w *scenario) { w.read(true, 1) }},
	{"read what is not remembered", func(w *scenario) { w.read(false, 0) }},
	{"read many that are not remembered", func(w *scenario) {
		for range 20 {
			w.read(false, 0)
		}
	}},
	{"read with a wrong number", (*scenario).damaged},
	{"finish", (*scenario).finish},
	{"ask for the last", func(w *scenario) { w.ask(max(w.sent, 1)) }},
	{"ask for the first", func(w *scenario) { w.ask(1) }},
	{"ask for the next", func(w *scenario) { w.ask(w.sent + 1) }},
	{"the connection ends", func(w *scenario) { w.m.lose(w.conn) }},
	{"the last worker ends", func(w *scenario) { w.m.close(w.conn); w.closed = true }},
	{"time passes", func(w *scenario) { w.sweep(keepFor / 2) }},
	{"much time passes", func(w *scenario) { w.sweep(2 * keepFor) }},
}

func playScenario(t *testing.T, limit int64, events []int) {
	w := newScenario(t, limit)
	defer func() {
		if t.Failed() {
			for _, e := range events {
				t.Log(scenarioEvents[e].name)
			}
		}
	}()
	for _, e := range events {
		if w.closed && e <= 5 { // nothing is read behind the last worker
			continue
		}
		scenarioEvents[e].do(w)
		require.LessOrEqual(t, w.m.bytes, limit)
		require.GreaterOrEqual(t, w.m.bytes, int64(0))
	}
	for range w.begun {
		w.finish()
	}
	w.m.close(w.conn)
	w.m.close(w.asker)
	w.sweep(2 * keepFor)
	require.Empty(t, w.m.sessions)
	require.Zero(t, w.m.bytes)
	require.Equal(t, &w.m.aging, w.m.aging.next)
}

// Every order of a few events: each answer is true, and none is less certain than it could be.
func TestEveryOrderOfAFewEvents(t *testing.T) {
	t.Parallel()
	length := 4
	if raceDetector {
		length = 3
	}
	for n := range int(pow(len(scenarioEvents), length)) {
		events := make([]int, length)
		for i := range events {
			events[i] = n % len(scenarioEvents)
			n /= len(scenarioEvents)
		}
		playScenario(t, 1<<20, events)
	}
}

func pow(b, e int) int {
	n := 1
	for range e {
		n *= b
	}
	return n
}

func TestManyEventsByTheDice(t *testing.T) {
	t.Parallel()
	rng, runs := rand.New(rand.NewPCG(1, 2)), 20_000
	if raceDetector {
		runs = 2_000
	}
	for range runs {
		events := make([]int, 5+rng.IntN(20))
		for i := range events {
			events[i] = rng.IntN(len(scenarioEvents) - rng.IntN(3))
		}
		playScenario(t, []int64{1 << 20, 1000}[rng.IntN(2)], events)
	}
}

// Requests that are not remembered cost a later acknowledgment nothing.
func TestAcknowledgmentOfALongGap(t *testing.T) {
	w := newScenario(t, 1<<20)
	for range 3 {
		w.read(true, 100)
	}
	w.finish()
	w.finish()
	w.sent = 1 << 60
	w.conn.count.Store(w.sent)
	w.read(true, 0)
	require.Len(t, w.m.sessions[w.session].calls, 2, "of what runs")
	require.Equal(t, uint64(1<<60), w.m.sessions[w.session].acked)
	require.Zero(t, w.m.bytes)
}

// The oldest answers are dropped first.
func TestOldestAnswersAreDroppedFirst(t *testing.T) {
	w := newScenario(t, 3*(recordSize+100))
	for range 5 {
		w.read(true, 100)
		w.finish()
	}
	kept := func() []uint64 { return slices.Sorted(maps.Keys(w.m.sessions[w.session].calls)) }
	require.Equal(t, []uint64{3, 4, 5}, kept())
	require.Nil(t, w.begun[1].next, "one that is forgotten keeps no other in memory")
	w.read(true, 100)
	w.m.finish(w.begun[6], "", nil, 3*(recordSize+100))
	require.Equal(t, []uint64{3, 4, 5}, kept(), "one that is larger than all room takes none")
}

// A question of another session's server, a damaged one, and one of a connection about itself.
func TestQuestionsThatHaveNoAnswer(t *testing.T) {
	w := newScenario(t, 1<<20)
	w.read(true, 0)
	ask := func(q protocol.Recall, by *conn) error {
		_, _, why := w.m.recall(&q, by)
		return why
	}
	other := w.session
	other[0]++
	require.Equal(t, protocol.ErrOtherServer, ask(protocol.NewRecall(other, 1, false), w.asker))
	other = w.session
	other[15]++
	require.Equal(t, protocol.ErrForgotten, ask(protocol.NewRecall(other, 1, false), w.asker))
	damaged := protocol.NewRecall(w.session, 1, false)
	damaged.Call++
	require.Equal(t, protocol.ErrMalformed, ask(damaged, w.asker))
	require.Equal(t, protocol.ErrMalformed, ask(protocol.NewRecall(w.session, 1, false), w.conn))
	require.False(t, w.m.sessions[w.session].asked)
	require.Equal(t, protocol.ErrRuns, ask(protocol.NewRecall(w.session, 1, false), w.asker))
}
