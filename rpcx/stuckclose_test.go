package rpcx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	stdjson "net/rpc/jsonrpc"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// odd is a connection to a peer that has frozen: nothing comes, and what closing it
// does is up to the test.
type odd struct {
	net.Conn // for its addresses
	end      chan struct{}
	read     func(end <-chan struct{}) error
	write    func(end <-chan struct{}) error
	deadline func(end <-chan struct{}) error
	close    func(end <-chan struct{}) error
}

func (o *odd) Read([]byte) (int, error)           { return 0, o.read(o.end) }
func (o *odd) SetDeadline(time.Time) error        { return o.deadline(o.end) }
func (o *odd) SetReadDeadline(t time.Time) error  { return o.deadline(o.end) }
func (o *odd) SetWriteDeadline(t time.Time) error { return o.deadline(o.end) }
func (o *odd) Close() error                       { return o.close(o.end) }

func (o *odd) Write(p []byte) (int, error) {
	if err := o.write(o.end); err != nil {
		return 0, err
	}
	return len(p), nil
}

func hangs(end <-chan struct{}) error { <-end; return io.EOF }
func works(<-chan struct{}) error     { return nil }
func refuses(<-chan struct{}) error   { return errors.ErrUnsupported }
func panics(<-chan struct{}) error    { panic("it is closed already") }
func (o odd) new(t *testing.T) net.Conn {
	o.Conn, _ = net.Pipe()
	o.end = make(chan struct{})
	t.Cleanup(func() { close(o.end) })
	return &o
}

// odds are connections whose end reaches nothing that hangs in them. A stream of yamux
// is the first: its Close ends its writes, and waits for the peer to end the reads.
var odds = map[string]odd{
	"Close does not end Read":                {read: hangs, write: works, deadline: works, close: works},
	"Close hangs":                            {read: hangs, write: works, deadline: works, close: hangs},
	"Close panics":                           {read: hangs, write: works, deadline: works, close: panics},
	"no deadlines":                           {read: hangs, write: works, deadline: refuses, close: works},
	"deadlines panic":                        {read: hangs, write: works, deadline: panics, close: works},
	"deadlines hang":                         {read: hangs, write: works, deadline: hangs, close: hangs},
	"Write hangs":                            {read: hangs, write: hangs, deadline: works, close: works},
	"Write hangs and there are no deadlines": {read: hangs, write: hangs, deadline: refuses, close: hangs},
}

// inBubble runs a subtest in virtual time.
func inBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// overOdd runs a test with the clients over one, by how they are made.
func overOdd(t *testing.T, o odd, d rpcx.Dialer, test func(kind string, c *rpcx.Client)) {
	d.Retry.MaxAttempts = -1
	for name, codec := range map[string]func(io.ReadWriteCloser) rpc.ClientCodec{"gob": nil, "foreign": stdjson.NewClientCodec} {
		d.Codec = codec
		test("given/"+name, newClient(t, d, o.new(t)))
		d.NetDial = func(context.Context, string, string) (net.Conn, error) { return o.new(t), nil }
		c, err := d.Dial("tcp", "odd:1")
		require.NoError(t, err)
		test("dialed/"+name, c)
	}
}

// callsOf makes a call of each kind, and returns what they end with.
func callsOf(t *testing.T, c *rpcx.Client) <-chan error {
	ends := make(chan error, 3)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { ends <- c.Call("A.B", 1, new(int)) }()
	go func() { ends <- c.CallContext(ctx, "A.B", 1, new(int)) }()
	go func() { ends <- (<-c.Go("A.B", 1, new(int), nil).Done).Error }()
	require.Eventually(t, func() bool { return c.InUse() == 3 }, 10*time.Second, time.Millisecond)
	return ends
}

// A frozen plugin behind hashicorp/yamux was convicted in 2.5 s, and its calls ended
// after 40 s, when yamux gave up waiting: net/rpc's reader was all that told them.
func TestConvictionEndsCallsWhateverCloseDoes(t *testing.T) {
	t.Parallel()
	for name, o := range odds {
		inBubble(t, name, func(t *testing.T) {
			// The peer has never shown that it answers pings, so it takes twelve times as long.
			overOdd(t, o, rpcx.Dialer{DetectionTime: 200 * time.Millisecond}, func(kind string, c *rpcx.Client) {
				ends := callsOf(t, c)
				convicted := 0
				for range 3 {
					select {
					case err := <-ends:
						if errors.Is(err, rpcx.ErrShutdown) { // it was not sent, and there is no other endpoint
							continue
						}
						require.ErrorIs(t, err, rpcx.ErrUnresponsive, kind)
						require.Regexp(t, `rpcx: \S+ at \S+: (peer|the connection) does not respond: silent for `, err.Error(), "%s: it has a name", kind)
						convicted++
					case <-time.After(10 * time.Second):
						t.Fatalf("%s: the call does not end", kind)
					}
				}
				require.Positive(t, convicted, kind)
				c.Close()
			})
		})
	}
}

// Close ends the calls as well, and itself.
func TestCloseEndsCallsWhateverItsConnectionDoes(t *testing.T) {
	t.Parallel()
	for name, o := range odds {
		inBubble(t, name, func(t *testing.T) {
			overOdd(t, o, rpcx.Dialer{Heartbeat: -1}, func(kind string, c *rpcx.Client) {
				ends := callsOf(t, c)
				closed := make(chan error, 1)
				go func() { closed <- c.Close() }()
				for range 3 {
					select {
					case err := <-ends:
						require.Equal(t, rpcx.ErrShutdown, err, kind)
					case <-time.After(10 * time.Second):
						t.Fatalf("%s: the call does not end", kind)
					}
				}
				select {
				case <-closed:
				case <-time.After(20 * time.Second):
					t.Fatalf("%s: Close does not return", kind)
				}
			})
		})
	}
}

// Its error read "rpcx:  does not respond".
func TestEndpointWithoutAddressHasAName(t *testing.T) {
	leak.Check(t)
	near, far := net.Pipe()
	defer far.Close()
	conn := struct {
		io.Reader
		io.Writer
		io.Closer
	}{near, near, near}
	c := rpcx.NewClient(conn)
	defer c.Close()
	require.Equal(t, "peer", c.Stats().Endpoints[0].Address)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	tcp, err := net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	d := rpcx.NewClient(tcp)
	defer d.Close()
	require.Equal(t, lis.Addr().String(), d.Stats().Endpoints[0].Address)
}
