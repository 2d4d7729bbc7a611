package server

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// goroutine returns a name of the calling goroutine.
func goroutine() string {
	var stack [64]byte
	return strings.Fields(string(stack[:runtime.Stack(stack[:], false)]))[1]
}

// tracked is a listener, and each of its connections, that counts how often another
// goroutine reads than the last time.
type tracked struct {
	net.Listener
	mu       sync.Mutex // protects following
	reader   string
	switches int
}

type trackedConn struct {
	net.Conn
	by *tracked
}

func (l *tracked) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return trackedConn{conn, l}, err
}

func (c trackedConn) Read(p []byte) (int, error) {
	c.by.read(goroutine())
	return c.Conn.Read(p)
}

func (l *tracked) read(by string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if by != l.reader {
		l.switches++
	}
	l.reader = by
}

// during returns how often the reader changes while f runs.
func (l *tracked) during(f func()) int {
	synctest.Wait()
	l.mu.Lock()
	l.switches = 0
	l.mu.Unlock()
	f()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.switches
}

// Varied is a service with a method that does what it is asked to, most often nothing.
type Varied struct {
	open  chan struct{}
	began chan struct{} // receives when "wait" has begun
	ran   atomic.Value  // the goroutine that has run Do
}

// Do implements a method.
func (v *Varied) Do(what string, reply *string) error {
	v.ran.Store(goroutine())
	*reply = what
	switch what {
	case "sleep":
		time.Sleep(time.Second)
	case "compute":
		for begin := time.Now(); time.Since(begin) < time.Second; {
		}
	case "wait":
		v.began <- struct{}{}
		<-v.open
	case "panic":
		panic(what)
	case "exit":
		runtime.Goexit()
	}
	return nil
}

// Open implements a method. It lets "wait" go on.
func (v *Varied) Open(int, *int) error {
	v.open <- struct{}{}
	return nil
}

// Slow implements a method.
func (*Varied) Slow(int, *int) error {
	time.Sleep(time.Second)
	return nil
}
