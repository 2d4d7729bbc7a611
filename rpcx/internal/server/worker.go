package server

// Of the workers of a connection one has the reading. It reads a request, and then
//
//	the request                           the reading
//	another one has begun to arrive       goes to the spare worker, or a new one
//	it is alone, and its method is short  stays: see watchdog
//	it is alone, and its method is not    goes to the spare worker, or a new one
//	there is none: the stream has ended   is over
//
// A worker without the reading becomes the spare one when its request has been answered,
// or ends if there is one already.

// A reading says what has become of the reading of a worker that has read a request.
type reading uint8

const (
	readingEnded reading = iota // there is no more to read
	readingHere                 // the worker goes on after the request
	readingElsewhere
)

// work reads requests and runs them, for as long as the worker is needed. net/rpc's
// ServeCodec starts a goroutine for each request, whose stack has to grow every time,
// and in which a panic cannot be recovered.
func (c *conn) work() {
	q := newRequest(c)
	defer q.leave() // whatever ends the goroutine, be it the method
	reserveStack(1)
	for {
		switch q.run(); q.reading {
		case readingEnded:
			return
		case readingElsewhere:
			if !c.spare.CompareAndSwap(false, true) {
				return
			}
			if _, more := <-c.next; !more {
				return
			}
		}
	}
}

// leave ends a worker, and the connection's work if it was to read.
func (q *request) leave() {
	switch q.reading {
	case readingEnded:
		close(q.next)
	case readingHere: // the method has ended the goroutine
		q.handOver()
	}
	if q.workers.Add(-1) == 0 {
		q.finish()
	}
}

// handOver lets another worker read: the spare one, or else a new one. A worker of the
// connection calls it, or something that keeps one from ending.
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
