package simnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A pipe is one direction of a connection: a bounded queue of bytes, each with
// the time of its arrival. Reader and writer wait on changed and on a timer,
// never with mu held.
type pipe struct {
	limit int // bytes on their way and unread, at most

	mu      sync.Mutex // protects following
	changed signal
	flow    flow
	delay   time.Duration
	further func() time.Duration // adds to delay, for each write; nil for nothing

	queue   []segment
	size    int       // bytes in queue
	fin     bool      // nothing follows queue
	finAt   time.Time // when the reader learns of fin
	lost    bool      // something went down a black hole: nothing is delivered any more
	severed bool      // reset by Cut
	broken  bool      // the reader's end is closed and has answered a write with a reset

	readClosed    bool // this pipe's reader is closed
	writeClosed   bool // this pipe's writer is closed, which implies fin
	readDeadline  time.Time
	writeDeadline time.Time
}

// A segment is what one write put into the queue at once.
type segment struct {
	at   time.Time // when it arrives; the segments before it still come first
	data []byte
}

func (p *pipe) read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		n, wake, err := p.readLocked(b)
		if n > 0 || err != nil || len(b) == 0 {
			p.mu.Unlock()
			return n, err
		}
		deadline, changed := p.readDeadline, p.changed.wait()
		p.mu.Unlock()
		await(changed, wake, deadline)
	}
}

// readLocked reads what can be read now. If that is nothing, wake is when
// something arrives, or zero if nothing is on its way.
func (p *pipe) readLocked(b []byte) (n int, wake time.Time, err error) {
	now := time.Now()
	switch {
	case p.readClosed:
		return 0, wake, net.ErrClosed
	case expired(p.readDeadline, now):
		return 0, wake, os.ErrDeadlineExceeded
	case p.severed:
		return 0, wake, syscall.ECONNRESET
	case p.flow != flowing || p.lost:
		return 0, wake, nil
	}
	for n < len(b) && len(p.queue) > 0 {
		s := &p.queue[0]
		if s.at.After(now) {
			wake = s.at
			break
		}
		c := copy(b[n:], s.data)
		n += c
		if s.data = s.data[c:]; len(s.data) == 0 {
			p.queue = p.queue[1:]
		}
	}
	if n > 0 {
		p.size -= n
		p.changed.fire()
		return n, wake, nil
	}
	if len(p.queue) > 0 || !p.fin {
		return 0, wake, nil
	}
	if p.finAt.After(now) {
		return 0, p.finAt, nil
	}
	return 0, wake, io.EOF
}

func (p *pipe) write(b []byte) (int, error) {
	sent := 0
	for {
		p.mu.Lock()
		n, err := p.writeLocked(b[sent:])
		sent += n
		if sent == len(b) || err != nil {
			p.mu.Unlock()
			return sent, err
		}
		deadline, changed := p.writeDeadline, p.changed.wait()
		p.mu.Unlock()
		await(changed, deadline)
	}
}

// writeLocked queues as much of b as there is room for.
func (p *pipe) writeLocked(b []byte) (int, error) {
	now := time.Now()
	switch {
	case p.writeClosed:
		return 0, net.ErrClosed
	case expired(p.writeDeadline, now):
		return 0, os.ErrDeadlineExceeded
	case p.severed:
		return 0, syscall.ECONNRESET
	case p.fin || p.broken:
		return 0, syscall.EPIPE
	case p.readClosed && p.flow == flowing && !p.lost && len(b) > 0:
		return p.writeToClosed(b)
	}
	n := min(len(b), p.limit-p.size)
	if n == 0 {
		return 0, nil
	}
	p.queue = append(p.queue, segment{now.Add(p.takes()), append([]byte(nil), b[:n]...)})
	p.size += n
	p.lost = p.lost || p.flow == blackholed
	p.changed.fire()
	return n, nil
}

// takes is how long what is written now is on its way.
func (p *pipe) takes() time.Duration {
	if p.further == nil {
		return p.delay
	}
	return p.delay + p.further()
}

// writeToClosed is the write that finds out that there is no reader any more. If it
// is the first, it succeeds all the same, for the answer is yet to come; if
// bytes were there unread when the reader closed, that has been answered.
func (p *pipe) writeToClosed(b []byte) (int, error) {
	p.broken = true
	if p.size > 0 {
		p.drop()
		return 0, syscall.ECONNRESET
	}
	return len(b), nil
}

func (p *pipe) drop() {
	p.queue, p.size = nil, 0
}

// closeRead reports whether the reader was still open.
func (p *pipe) closeRead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readClosed {
		return false
	}
	p.readClosed = true
	p.changed.fire()
	return true
}

// closeWrite puts the end of the stream behind the data. If all, the writer
// is closed altogether.
func (p *pipe) closeWrite(all bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeClosed {
		return net.ErrClosed
	}
	p.writeClosed = all
	if !p.fin {
		p.fin = true
		p.finAt = time.Now().Add(p.delay)
		p.lost = p.lost || p.flow == blackholed
	}
	p.changed.fire()
	return nil
}

func (p *pipe) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.severed = true
	p.drop()
	p.changed.fire()
}

func (p *pipe) setFlow(f flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow = f
	p.changed.fire()
}

func (p *pipe) setDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *pipe) setFurther(further func() time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.further = further
}

func (p *pipe) setReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readClosed {
		return net.ErrClosed
	}
	p.readDeadline = t
	p.changed.fire()
	return nil
}

func (p *pipe) setWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeClosed {
		return net.ErrClosed
	}
	p.writeDeadline = t
	p.changed.fire()
	return nil
}
