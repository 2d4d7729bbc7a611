package rpcx_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/rpc"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	stdjson "net/rpc/jsonrpc"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/jsonrpc"
)

// isDisconnected is KubeVirt's, and isNetworkError TF2Stadium's.
func isDisconnected(err error) bool {
	if err == rpc.ErrShutdown || err == io.ErrUnexpectedEOF || err == io.EOF {
		return true
	}
	if op, ok := err.(*net.OpError); ok {
		if call, ok := op.Err.(*os.SyscallError); ok {
			return call.Err == syscall.ECONNRESET
		}
	}
	return false
}

func isNetworkError(err error) bool {
	_, ok := err.(*net.OpError)
	return ok || err == io.ErrUnexpectedEOF || err == rpc.ErrShutdown
}

// codecFault is an error that a user's codec returns.
type codecFault struct{ where string }

func (e *codecFault) Error() string { return "fault in " + e.where }

// faultyCodec fails in reading or in writing.
type faultyCodec struct {
	where  string
	asked  chan struct{} // closed by the first request
	closed chan struct{}
}

func newFaultyCodec(where string) *faultyCodec {
	return &faultyCodec{where: where, asked: make(chan struct{}), closed: make(chan struct{})}
}

func (c *faultyCodec) WriteRequest(*rpc.Request, any) error {
	if c.where == "WriteRequest" {
		return &codecFault{c.where}
	}
	close(c.asked)
	return nil
}

func (c *faultyCodec) ReadResponseHeader(*rpc.Response) error {
	select {
	case <-c.asked:
		return &codecFault{c.where}
	case <-c.closed:
		return io.EOF
	}
}

func (c *faultyCodec) ReadResponseBody(any) error { return nil }

func (c *faultyCodec) Close() error {
	close(c.closed)
	return nil
}

// ending returns a peer that reads a request, and then ends the connection its way.
func ending(end func(*net.TCPConn)) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		c.Read(make([]byte, 1<<10)) //nolint:errcheck // a request
		end(c)
	}
}

func stockPeer(c *net.TCPConn) {
	server := rpc.NewServer()
	server.RegisterName("Bank", &Bank{ledger: &ledger{runs: make(map[int]int)}}) //nolint:errcheck // it is valid
	server.ServeConn(c)
}

func stockJSONPeer(c *net.TCPConn) {
	server := rpc.NewServer()
	server.RegisterName("Bank", &Bank{ledger: &ledger{runs: make(map[int]int)}}) //nolint:errcheck // it is valid
	server.ServeCodec(stdjson.NewServerCodec(c))
}

// An idiom is how programs recognize an error of net/rpc's.
type idiom struct {
	name   string
	peer   func(*net.TCPConn)
	json   bool
	codec  string           // where a user's codec fails, in place of a connection
	before func(c net.Conn) // is done to the client's connection
	call   func(asyncCaller) error
	holds  func(error) bool
	typed  bool // the type and the text are net/rpc's, too
}

func ask(c asyncCaller) error { return c.Call("Bank.Where", struct{}{}, new(string)) }

var idioms = []idiom{
	{
		name: "err == io.ErrUnexpectedEOF", typed: true, call: ask,
		peer:  ending(func(c *net.TCPConn) { c.CloseWrite(); io.Copy(io.Discard, c); c.Close() }), //nolint:errcheck // an orderly end
		holds: func(err error) bool { return err == io.ErrUnexpectedEOF },
	},
	{
		name: "err.(*net.OpError) of a reset", typed: true, call: ask,
		peer: ending(func(c *net.TCPConn) { c.SetLinger(0); c.Close() }), //nolint:errcheck // it is one
		holds: func(err error) bool {
			op, ok := err.(*net.OpError)
			return ok && op.Op == "read"
		},
	},
	{
		name: "KubeVirt's, of a reset", typed: true, call: ask, holds: isDisconnected,
		peer: ending(func(c *net.TCPConn) { c.SetLinger(0); c.Close() }), //nolint:errcheck // it is one
	},
	{
		name: "TF2Stadium's, of an end", typed: true, call: ask, holds: isNetworkError,
		peer: ending(func(c *net.TCPConn) { c.CloseWrite(); io.Copy(io.Discard, c); c.Close() }), //nolint:errcheck // an orderly end
	},
	{
		name: "err.(net.Error) of the connection's deadline", typed: true, call: ask,
		peer:   func(c *net.TCPConn) { io.Copy(io.Discard, c) },                                //nolint:errcheck // until it ends
		before: func(c net.Conn) { c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) }, //nolint:errcheck // the test fails without
		holds: func(err error) bool {
			timeout, ok := err.(net.Error)
			return ok && timeout.Timeout()
		},
	},
	{
		name: "a codec's error in reading", typed: true, call: ask, codec: "ReadResponseHeader",
		holds: func(err error) bool {
			fault, ok := err.(*codecFault)
			return ok && fault.where == "ReadResponseHeader"
		},
	},
	{
		name: "a codec's error in writing", typed: true, call: ask, codec: "WriteRequest",
		holds: func(err error) bool {
			fault, ok := err.(*codecFault)
			return ok && fault.where == "WriteRequest"
		},
	},
	{
		name: "gob's error of an argument", typed: true, peer: stockPeer,
		call:  func(c asyncCaller) error { return c.Call("Bank.Where", make(chan int), new(string)) },
		holds: func(err error) bool { return strings.HasPrefix(err.Error(), "gob") },
	},
	{
		name: "err.(*json.UnsupportedTypeError)", typed: true, json: true, peer: stockJSONPeer,
		call: func(c asyncCaller) error { return c.Call("Bank.Where", make(chan int), new(string)) },
		holds: func(err error) bool {
			_, ok := err.(*json.UnsupportedTypeError)
			return ok
		},
	},
	{
		name: `strings.HasPrefix(err.Error(), "reading body ")`, peer: stockPeer,
		call:  func(c asyncCaller) error { return c.Call("Bank.Where", struct{}{}, new(Deposit)) },
		holds: func(err error) bool { return strings.HasPrefix(err.Error(), "reading body gob: ") },
	},
	{
		name: "err.(rpc.ServerError)", typed: true, peer: stockPeer,
		call: func(c asyncCaller) error { return c.Call("Bank.Refuse", "no", new(struct{})) },
		holds: func(err error) bool {
			text, ok := err.(rpc.ServerError)
			return ok && text == "no"
		},
	},
	{
		name: "err == rpc.ErrShutdown after Close", typed: true, peer: stockPeer,
		call: func(c asyncCaller) error {
			if err := c.(io.Closer).Close(); err != nil {
				return err
			}
			return ask(c)
		},
		holds: func(err error) bool { return err == rpc.ErrShutdown },
	},
	{
		name: "err == rpc.ErrShutdown after the end of the connection", typed: true,
		peer: ending(func(c *net.TCPConn) { c.Close() }),
		call: func(c asyncCaller) error {
			ask(c) //nolint:errcheck // the connection ends within it
			var err error
			for range 5000 { // it takes a moment until the reader has seen it
				if err = ask(c); err == rpc.ErrShutdown {
					break
				}
				time.Sleep(time.Millisecond)
			}
			return err
		},
		holds: func(err error) bool { return err == rpc.ErrShutdown },
	},
}

// client returns a client of net/rpc's or of ours on a new connection to the peer.
func (i *idiom) client(t *testing.T, ours bool) asyncCaller {
	if i.codec != "" {
		if ours {
			return rpcx.NewClientWithCodec(newFaultyCodec(i.codec))
		}
		return rpc.NewClientWithCodec(newFaultyCodec(i.codec))
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := lis.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- c
		i.peer(c.(*net.TCPConn))
	}()
	conn, err := net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	peer := <-accepted
	require.NotNil(t, peer)
	t.Cleanup(func() { peer.Close() })
	if i.before != nil {
		i.before(conn)
	}
	switch {
	case ours && i.json:
		return jsonrpc.NewClient(conn)
	case ours:
		return rpcx.NewClient(conn)
	case i.json:
		return stdjson.NewClient(conn)
	}
	return rpc.NewClient(conn)
}

// byGo makes every call of a client by Go.
type byGo struct{ asyncCaller }

func (g byGo) Call(method string, args, reply any) error {
	return (<-g.Go(method, args, reply, nil).Done).Error
}

func (g byGo) Close() error { return g.asyncCaller.(io.Closer).Close() }

// KubeVirt and TF2Stadium compare errors by == and by type, and rpc-codec panics if
// what it gets is not what net/rpc returns.
func TestErrorsCompareAsNetRPCs(t *testing.T) {
	t.Parallel()
	for _, i := range idioms {
		for way, wrap := range map[string]func(asyncCaller) asyncCaller{
			"Call": func(c asyncCaller) asyncCaller { return c },
			"Go":   func(c asyncCaller) asyncCaller { return byGo{c} },
		} {
			t.Run(i.name+"/"+way, func(t *testing.T) {
				var got [2]error
				for n, ours := range []bool{false, true} {
					c := i.client(t, ours)
					got[n] = i.call(wrap(c))
					c.(io.Closer).Close() //nolint:errcheck // it may be closed
					require.Error(t, got[n])
					require.True(t, i.holds(got[n]), "ours=%v: %T %v", ours, got[n], got[n])
				}
				if i.typed {
					require.Equal(t, reflect.TypeOf(got[0]), reflect.TypeOf(got[1]))
				}
			})
		}
	}
}

// CallContext says more of the very errors that come bare from Call.
func TestCallContextSaysMoreThanCall(t *testing.T) {
	for _, i := range idioms {
		if i.name == "err.(rpc.ServerError)" || strings.Contains(i.name, "ErrShutdown") {
			continue
		}
		t.Run(i.name, func(t *testing.T) {
			c := i.client(t, true)
			defer c.(io.Closer).Close()
			err := i.call(withContext{c.(*rpcx.Client)})
			ce, ok := err.(*rpcx.CallError)
			require.True(t, ok, "%T %v", err, err)
			require.Equal(t, 1, ce.Attempts)
			require.Equal(t, "Bank.Where", ce.Method)
		})
	}
}

type withContext struct{ *rpcx.Client }

func (c withContext) Call(method string, args, reply any) error {
	return c.CallContext(context.Background(), method, args, reply)
}

// A dial that is refused has no counterpart in net/rpc's Call; it is the *net.OpError
// of net.Dial all the same.
func TestRefusedDialComesBare(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true
		f.dialer.Retry.MaxAttempts = -1
		c := f.dial()
		defer c.Close()
		f.kill("a:1")
		for _, err := range []error{c.Call("Bank.Where", struct{}{}, new(string)), byGo{c}.Call("Bank.Where", struct{}{}, new(string))} {
			op, ok := err.(*net.OpError)
			require.True(t, ok, "%T %v", err, err)
			require.Equal(t, "dial", op.Op)
		}
	})
}

// What this package refuses, convicts or gives up is no error of net/rpc's, and says
// more than its cause does.
func TestOwnErrorsAreCallErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change    func(*fleet)
		cause     error
		timeout   bool
		temporary bool
	}{
		"deadline":     {change: func(f *fleet) { f.Stall("a:1") }, cause: context.DeadlineExceeded, timeout: true, temporary: true},
		"unavailable":  {change: func(f *fleet) { f.kill("a:1"); time.Sleep(5 * time.Second) }, cause: rpcx.ErrUnavailable, temporary: true},
		"vanished":     {change: func(f *fleet) { f.vanish("a:1"); time.Sleep(5 * time.Second) }, cause: rpcx.ErrUnavailable, temporary: true},
		"unresponsive": {change: func(f *fleet) { f.dialer.CallTimeout = 0; f.Stall("a:1") }, cause: rpcx.ErrUnresponsive},
		"overloaded":   {change: func(f *fleet) { f.dialer.MaxCalls, f.dialer.QueueTimeout = 1, -1 }, cause: rpcx.ErrOverloaded, temporary: true},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 1, func(t *testing.T, f *fleet) {
				f.dialer.CallTimeout = 300 * time.Millisecond
				f.dialer.DialTimeout = 100 * time.Millisecond
				f.dialer.Retry.MaxAttempts = -1
				if name == "overloaded" || name == "unresponsive" {
					c.change(f)
				}
				client := f.dial()
				defer client.Close()
				time.Sleep(time.Second)
				c.change(f)
				if name == "overloaded" {
					client.Go("Bank.Sleep", time.Minute, new(string), nil)
				}
				for _, err := range []error{client.Call("Bank.Where", struct{}{}, new(string)), byGo{client}.Call("Bank.Where", struct{}{}, new(string))} {
					require.ErrorIs(t, err, c.cause)
					ce, ok := err.(*rpcx.CallError)
					require.True(t, ok, "%T %v", err, err)
					require.Implements(t, (*net.Error)(nil), err)
					require.Equal(t, c.timeout, ce.Timeout(), err)
					require.Equal(t, c.temporary, ce.Temporary(), err)
					if name == "unresponsive" {
						break // the connection is gone
					}
				}
			})
		})
	}
}
