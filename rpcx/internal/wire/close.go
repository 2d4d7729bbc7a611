package wire

import "time"

// This file is the end of a wire. A connection may be more than a socket, with a Close that writes
// what its Write has buffered, so it is not closed under its writer as long as that can
// be helped.

// LeaveWithin is how long a writer or a reader has to leave the connection.
const LeaveWithin = 500 * time.Millisecond

// Where the reader is.
const (
	readerOut     int32 = iota // not in the connection's Read
	readerIn                   // in it
	readerBarred               // not in it, and locked out
	readerLeaving              // in it, and its deadline has passed
	readerStuck                // in it, and there are no deadlines
)

// Close ends the connection; what waits in memory never leaves.
func (w *Wire) Close() error {
	w.Stop(ErrClosed)
	if !w.kernel { // whose methods may all be called at once
		w.writerLeaves()
		w.readerLeaves()
		defer time.AfterFunc(LeaveWithin, func() { w.readBy(past) }).Stop() // a Close that hangs
		defer w.readBy(past)                                                // one that does not end a read
	}
	return w.conn.Close()
}

// Stop makes sure that no byte leaves from now on, but for those of a write that is
// under way.
func (w *Wire) Stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.buf = nil
	w.makeRoom()
	if !w.flushing {
		w.atRest()
	}
}

// Over reports whether no byte leaves any more.
func (w *Wire) Over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// Halt is Stop, and on a socket also ends the write that is under way, so that it is
// known what has left.
func (w *Wire) Halt(err error) {
	w.Stop(err)
	if rest := w.resting(); w.kernel && rest != nil {
		w.writeBy(past)
		<-rest
	}
}

// writerLeaves has a write end that is under way. It has some time to do so by itself,
// since one that a deadline ends may leave the connection unable to say goodbye. One
// that has no deadline is freed by Close, if at all.
func (w *Wire) writerLeaves() {
	rest := w.resting()
	if rest == nil || EndsBy(time.Now().Add(LeaveWithin), rest) {
		return
	}
	if w.writeBy(past) {
		EndsBy(time.Now().Add(LeaveWithin), rest)
	}
}

// Dismiss has the reader leave a connection that is over, and is not closed, or not
// yet. It reports whether the reader can: a read without deadlines cannot be ended. The
// deadline of a write that has ended is lifted.
func (w *Wire) Dismiss() (leaves bool) {
	if w.resting() == nil {
		w.writeBy(time.Time{})
	}
	if w.bar() && !w.readBy(past) {
		w.reader.CompareAndSwap(readerLeaving, readerStuck)
	}
	return w.reader.Load() != readerStuck
}

// readerLeaves waits for a reader that was dismissed.
func (w *Wire) readerLeaves() {
	if w.reader.Load() == readerLeaving {
		EndsBy(time.Now().Add(LeaveWithin), w.readerLeft)
	}
}

// EndsBy waits for the end of something, until a time at the latest, and reports
// whether it has come.
func EndsBy(at time.Time, end <-chan struct{}) bool {
	select {
	case <-end:
		return true
	default:
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-end:
		return true
	case <-timer.C:
		return false
	}
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// readBy sets a deadline of reads, if the connection has any. One that embeds a nil
// net.Conn has none either.
func (w *Wire) readBy(at time.Time) (ok bool) {
	defer func() { recover() }() //nolint:errcheck // see above
	d, has := w.conn.(interface{ SetReadDeadline(time.Time) error })
	return has && d.SetReadDeadline(at) == nil
}

// writeBy is readBy for writes.
func (w *Wire) writeBy(at time.Time) (ok bool) {
	defer func() { recover() }() //nolint:errcheck // likewise
	d, has := w.conn.(interface{ SetWriteDeadline(time.Time) error })
	return has && d.SetWriteDeadline(at) == nil
}

// bar locks the reader out, once, and reports whether it is still in.
func (w *Wire) bar() bool {
	for w.reader.Load() <= readerIn {
		if w.reader.CompareAndSwap(readerOut, readerBarred) {
			return false
		}
		if w.reader.CompareAndSwap(readerIn, readerLeaving) {
			return true
		}
	}
	return false
}

// resting is closed when the write that is under way ends; nil if there is none.
func (w *Wire) resting() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.flushing {
		return nil
	}
	if w.rest == nil {
		w.rest = make(chan struct{})
	}
	return w.rest
}
