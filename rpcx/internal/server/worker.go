package server

// work reads requests and runs them, for as long as the worker is needed. net/rpc's
// ServeCodec starts a goroutine for each request, whose stack has to grow every time,
// and in which a panic cannot be recovered.
func (c *conn) work() {
	q := &request{conn: c}
	defer q.leave() // whatever ends the goroutine, be it the method
	reserveStack(1)
	for {
		q.run()
		if !q.passed || !c.spare.CompareAndSwap(false, true) {
			return
		}
		if _, more := <-c.next; !more {
			return
		}
	}
}

// leave ends a worker, and the connection's work if it was to read.
func (q *request) leave() {
	if !q.passed {
		close(q.next)
	}
	if q.workers.Add(-1) == 0 {
		q.finish()
	}
}

// handOver lets another worker read: the spare one, or else a new one.
func (c *conn) handOver() {
	select {
	case c.next <- struct{}{}:
		c.spare.Store(false)
	default:
		c.workers.Add(1)
		go c.work()
	}
}

// reserveStack has the runtime enlarge the stack of a new goroutine once, while
// there is little on it, to what decoding takes; doubled on the way, from within
// encoding/json, it would cost a third of all the time.
//
//go:noinline
func reserveStack(i int) byte {
	var frame [6 << 10]byte
	frame[i] = 1
	return frame[i/2]
}
