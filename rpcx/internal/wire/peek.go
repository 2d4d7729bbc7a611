package wire

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// peeker looks at a socket without reading from it.
type peeker struct {
	conn syscall.RawConn
	look func(fd uintptr) // kept, so that it is not allocated for each look
	data bool
	err  error
}

// newPeeker returns nil for what is no socket, nor TLS over one.
func newPeeker(conn any) *peeker {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	var raw syscall.RawConn
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	}
	if raw == nil || !canPeek {
		return nil
	}
	p := &peeker{conn: raw}
	p.look = func(fd uintptr) { p.data, p.err = recvPeek(int(fd)) } //nolint:gosec // a descriptor fits
	raw.Control(func(fd uintptr) { unblock(int(fd)) })              //nolint:errcheck,gosec // a closed one says so when it is read
	return p
}

// CanPeek reports whether Peek works, and a read can be interrupted and resumed.
func (w *Wire) CanPeek() bool { return w.peeker != nil }

// Peek looks at the connection while no reader does: it reports whether bytes have come,
// or returns why the connection has ended. It does not block. Of a layer above the socket,
// bytes may be its own.
func (w *Wire) Peek() (data bool, err error) {
	p := w.peeker
	p.data, p.err = false, nil
	if err := p.conn.Control(p.look); err != nil {
		return false, err
	}
	if p.err != nil && p.err != io.EOF { //nolint:errorlint // made by recvPeek
		return false, w.opError(p.err)
	}
	return p.data, p.err
}

// opError is an error of the socket as its Read has it.
func (w *Wire) opError(err error) error {
	op := &net.OpError{Op: "read", Err: os.NewSyscallError("recvfrom", err)}
	if conn, ok := w.conn.(net.Conn); ok {
		op.Net, op.Source, op.Addr = conn.RemoteAddr().Network(), conn.LocalAddr(), conn.RemoteAddr()
	}
	return op
}

// ReadBy sets a deadline for the Read that is under way and those to come; zero is none.
func (w *Wire) ReadBy(at time.Time) { w.readBy(at) }
