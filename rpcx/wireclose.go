package rpcx

import "time"

// The end of a wire. A connection may be more than a socket, with a Close that writes
// what its Write has buffered. So it is closed only when its reader and its flusher
// have left it, as far as they can be made to: see vacate.

// leaveWithin is how long a reader or a flusher has to leave the connection.
const leaveWithin = 500 * time.Millisecond

// Where the reader is.
const (
	readerOut     int32 = iota // not in the connection's Read
	readerIn                   // in it
	readerBarred               // not in it, and locked out
	readerLeaving              // in it, and locked out
)

// Close ends the connection; what waits in memory never leaves.
func (w *wire) Close() error {
	w.stop(errClosedWire)
	if !w.kernel { // whose methods may all be called at once
		w.vacate()
	}
	return w.conn.Close()
}

// stop makes sure that no byte leaves from now on, but for those of a write that is
// under way.
func (w *wire) stop(err error) {
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

// halt is stop, and on a socket also ends the write that is under way, so that it is
// known what has left.
func (w *wire) halt(err error) {
	w.stop(err)
	if rest := w.resting(); w.kernel && rest != nil {
		w.writeBy(past)
		<-rest
	}
}

// vacate has the reader and the flusher leave a connection that is over. A write has
// some time to end by itself, since one that a deadline ends may leave the connection
// unable to say goodbye. Neither is waited for longer than leaveWithin or two: one that
// nothing else can free is freed by Close, if at all.
func (w *wire) vacate() {
	soon := time.Now().Add(leaveWithin)
	leaving := w.bar() && w.readBy(past)
	if rest := w.resting(); rest != nil && !endsBy(soon, rest) && w.writeBy(past) {
		endsBy(time.Now().Add(leaveWithin), rest)
	}
	if leaving {
		endsBy(soon, w.left)
	}
}

// endsBy waits for the end of something, until a time at the latest, and reports
// whether it has come.
func endsBy(at time.Time, end <-chan struct{}) bool {
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
func (w *wire) readBy(at time.Time) (ok bool) {
	defer func() { recover() }() //nolint:errcheck // see above
	d, has := w.conn.(interface{ SetReadDeadline(time.Time) error })
	return has && d.SetReadDeadline(at) == nil
}

// writeBy is readBy for writes.
func (w *wire) writeBy(at time.Time) (ok bool) {
	defer func() { recover() }() //nolint:errcheck // likewise
	d, has := w.conn.(interface{ SetWriteDeadline(time.Time) error })
	return has && d.SetWriteDeadline(at) == nil
}

// bar locks the reader out, and reports whether it is still in.
func (w *wire) bar() bool {
	for {
		switch w.reader.Load() {
		case readerOut:
			if w.reader.CompareAndSwap(readerOut, readerBarred) {
				return false
			}
		case readerIn:
			if w.reader.CompareAndSwap(readerIn, readerLeaving) {
				return true
			}
		case readerBarred:
			return false
		case readerLeaving:
			return true
		}
	}
}

// resting is closed when the write that is under way ends; nil if there is none.
func (w *wire) resting() <-chan struct{} {
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
