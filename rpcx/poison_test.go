package rpcx_test

import (
	"bufio"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"net/rpc"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	stdjson "net/rpc/jsonrpc"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/simnet"
	"resilientrpc/rpcx/jsonrpc"
)

// A poison is one of the faults by which a single message takes net/rpc's whole
// connection down, or hangs it. Run returns nil if only the message itself failed.
type poison struct {
	name  string
	json  bool
	serve func(io.ReadWriteCloser) // nil is a stock server
	run   func(n *simnet.Network, c asyncCaller) error
}

type asyncCaller interface {
	caller
	Go(serviceMethod string, args, reply any, done chan *rpc.Call) *rpc.Call
}

const poisoned = "p:1"

var poisons = []poison{
	{name: "argument that cannot be encoded", run: func(_ *simnet.Network, c asyncCaller) error {
		if err := c.Call("Bank.Where", make(chan int), new(string)); err == nil {
			return fmt.Errorf("a channel was encoded")
		}
		return lives(c)
	}},
	{name: "argument that is a nil pointer", run: func(_ *simnet.Network, c asyncCaller) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		if err := c.Call("Bank.Deposit", (*Deposit)(nil), new(int)); err == nil {
			return fmt.Errorf("a nil pointer was encoded")
		}
		return lives(c)
	}},
	{name: "reply of another type", run: func(_ *simnet.Network, c asyncCaller) error {
		slow := c.Go("Bank.Sleep", time.Second, new(string), nil)
		if err := c.Call("Bank.Where", struct{}{}, new(Deposit)); err == nil {
			return fmt.Errorf("a string was decoded into a struct")
		}
		return ends(slow)
	}},
	{name: "JSON error object", json: true, serve: answering(func(id int, _ string) string {
		return fmt.Sprintf(`{"id":%d,"result":null,"error":{"code":-3,"message":"no"}}`, id)
	}), run: func(_ *simnet.Network, c asyncCaller) error {
		slow := c.Go("Slow.Call", 1, new(int), nil)
		if err := c.Call("Bad.Call", 2, new(int)); err == nil || !strings.Contains(err.Error(), "no") {
			return fmt.Errorf("error is %v", err)
		}
		return ends(slow)
	}},
	{name: "JSON null result", json: true, serve: answering(func(id int, _ string) string {
		return fmt.Sprintf(`{"id":%d,"result":null,"error":null}`, id)
	}), run: func(_ *simnet.Network, c asyncCaller) error {
		slow := c.Go("Slow.Call", 1, new(int), nil)
		if err := c.Call("Bad.Call", 2, new(int)); err == nil {
			return fmt.Errorf("null was decoded into an int")
		}
		return ends(slow)
	}},
	{name: "JSON error with a null id", json: true, serve: answering(func(int, string) string {
		return `{"id":null,"result":null,"error":"what was that?"}`
	}), run: func(_ *simnet.Network, c asyncCaller) error {
		if err := ends(c.Go("Slow.Call", 1, new(int), nil)); err != nil { // takes the id 0, which null reads as
			return err
		}
		if err := within(5*time.Second, func() error { return c.Call("Bad.Call", 2, new(int)) }); err == nil ||
			!strings.Contains(err.Error(), "what was that?") {
			return fmt.Errorf("error is %v", err)
		}
		return ends(c.Go("Slow.Call", 1, new(int), nil))
	}},
	{name: "reply to a request that was not made", json: true, serve: answering(func(id int, _ string) string {
		return fmt.Sprintf(`{"id":%d,"result":7,"error":null}`, id+100) // a bit has flipped
	}), run: func(_ *simnet.Network, c asyncCaller) error {
		return within(time.Hour, func() error {
			if c.Call("Bad.Call", 2, new(int)) == nil {
				return fmt.Errorf("a stray reply was taken")
			}
			return nil
		})
	}},
	{name: "error for a request that was not made", json: true, serve: answering(func(id int, _ string) string {
		return fmt.Sprintf(`{"id":%d,"result":null,"error":"no such method"}`, id+100)
	}), run: func(_ *simnet.Network, c asyncCaller) error {
		return within(time.Hour, func() error {
			if c.Call("Bad.Call", 2, new(int)) == nil {
				return fmt.Errorf("a stray error was taken")
			}
			return nil
		})
	}},
	{name: "peer that does not read", run: func(n *simnet.Network, c asyncCaller) error {
		n.Stall(poisoned)
		return within(5*time.Second, func() error {
			for range 20 { // of which the first fills the socket's buffer
				c.Go("Bank.Refuse", strings.Repeat("x", 40<<10), new(struct{}), nil)
			}
			return nil
		})
	}},
	{name: "peer that is gone without a word", run: func(n *simnet.Network, c asyncCaller) error {
		n.Blackhole(poisoned)
		return within(time.Hour, func() error {
			if c.Call("Bank.Where", struct{}{}, new(string)) == nil {
				return fmt.Errorf("a reply came from nowhere")
			}
			return nil
		})
	}},
	{name: "peer that stops within a reply", serve: func(c io.ReadWriteCloser) {
		c.Read(make([]byte, 1))  //nolint:errcheck // a request
		c.Write([]byte{40, 255}) //nolint:errcheck // the test fails without
		io.Copy(io.Discard, c)   //nolint:errcheck // until it ends
	}, run: func(_ *simnet.Network, c asyncCaller) error {
		return within(time.Hour, func() error {
			if c.Call("Bank.Where", struct{}{}, new(string)) == nil {
				return fmt.Errorf("half a reply was taken for one")
			}
			return nil
		})
	}},
	{name: "frame that is announced huge", serve: func(c io.ReadWriteCloser) {
		c.Read(make([]byte, 1))                       //nolint:errcheck // a request
		c.Write([]byte{0xfc, 0x3f, 0xff, 0xff, 0xff}) //nolint:errcheck // 1 GiB are to come
		io.Copy(io.Discard, c)                        //nolint:errcheck // until it ends
	}, run: func(_ *simnet.Network, c asyncCaller) error {
		return within(time.Hour, func() error {
			err := c.Call("Bank.Where", struct{}{}, new(string))
			if err == nil || !strings.Contains(err.Error(), "MaxFrame") {
				return fmt.Errorf("error is %v", err)
			}
			return nil
		})
	}},
}

// Each fault is shown to be one on net/rpc's own client, and to be none on ours.
func TestPoison(t *testing.T) {
	for _, p := range poisons {
		t.Run(p.name+"/net_rpc", func(t *testing.T) {
			err := p.drink(t, func(conn io.ReadWriteCloser) asyncCaller {
				if p.json {
					return stdjson.NewClient(conn)
				}
				return rpc.NewClient(conn)
			})
			require.Error(t, err, "net/rpc has mended this: the test proves nothing any more")
			t.Log(err)
		})
		t.Run(p.name+"/rpcx", func(t *testing.T) {
			require.NoError(t, p.drink(t, func(conn io.ReadWriteCloser) asyncCaller {
				if p.json {
					return jsonrpc.NewClient(conn)
				}
				return rpcx.NewClient(conn)
			}))
		})
	}
}

// drink runs the fault on one connection, in virtual time.
func (p poison) drink(t *testing.T, client func(io.ReadWriteCloser) asyncCaller) (err error) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New()
		defer time.Sleep(3 * time.Hour)
		defer n.Close()
		ln := n.Listen(poisoned)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if p.serve != nil {
				p.serve(c)
				return
			}
			server := rpc.NewServer()
			server.RegisterName("Bank", &Bank{name: poisoned, ledger: &ledger{runs: make(map[int]int)}}) //nolint:errcheck // it is valid
			server.ServeConn(c)
		}()
		conn, dialErr := n.DialContext(t.Context(), "tcp", poisoned)
		require.NoError(t, dialErr)
		c := client(conn)
		err = p.run(n, c)
		go c.Close() // net/rpc's may wait behind a stalled write
		n.Cut(poisoned)
	})
	return err
}

// within runs f and gives it up after d.
func within(d time.Duration, f func() error) error {
	end := make(chan error, 1)
	go func() { end <- f() }()
	select {
	case err := <-end:
		return err
	case <-time.After(d):
		return fmt.Errorf("hangs for %v", d)
	}
}

// lives reports whether the connection still serves.
func lives(c caller) error {
	return within(5*time.Second, func() error {
		var name string
		if err := c.Call("Bank.Where", struct{}{}, &name); err != nil || name != poisoned {
			return fmt.Errorf("the next call: %q, %w", name, err)
		}
		return nil
	})
}

// ends reports whether a call that shares the connection ends well.
func ends(call *rpc.Call) error {
	return within(5*time.Second, func() error {
		if call = <-call.Done; call.Error != nil {
			return fmt.Errorf("another call: %w", call.Error)
		}
		return nil
	})
}

// answering is a JSON-RPC peer that gives bad calls the answer of bad, slow ones
// a good answer after a second, and all others, pings say, an error at once.
func answering(bad func(id int, method string) string) func(io.ReadWriteCloser) {
	return func(c io.ReadWriteCloser) {
		requests := json.NewDecoder(bufio.NewReader(c))
		for {
			var r struct {
				ID     int
				Method string
			}
			if requests.Decode(&r) != nil {
				return
			}
			switch r.Method {
			case "Bad.Call":
				fmt.Fprintln(c, bad(r.ID, r.Method))
			case "Slow.Call":
				go func() {
					time.Sleep(time.Second) // virtual
					fmt.Fprintf(c, `{"id":%d,"result":7,"error":null}`+"\n", r.ID)
				}()
			default:
				fmt.Fprintf(c, `{"id":%d,"result":null,"error":"rpc: can't find method"}`+"\n", r.ID)
			}
		}
	}
}

// The limit is the user's to set, through the codec.
func TestFrameLimitIsAKnob(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Codec = codec.Gob{MaxFrame: 1 << 10}.NewClient
		c := f.dial()
		defer c.Close()
		err := c.Call("Bank.Refuse", strings.Repeat("x", 2<<10), new(struct{}))
		require.ErrorContains(t, err, "codec.Gob.MaxFrame allows 1024")
		require.Equal(t, rpcx.NotSent, callError(t, err).Sent)
		var frame *codec.FrameError
		require.ErrorAs(t, err, &frame)
		where(t, c, 1)
		require.Equal(t, 1, f.Dials("a:1"))
	})
}

// A request that a gob.Decoder at the other end reads as net/rpc's own.
func TestGobRequestIsNetRPCs(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		got := make(chan rpc.Request, 1)
		f.serve = func(_ *rpc.Server, c io.ReadWriteCloser) {
			defer c.Close()
			dec := gob.NewDecoder(c)
			var r rpc.Request
			var d Deposit
			if dec.Decode(&r) == nil && dec.Decode(&d) == nil && d.Amount == 5 {
				got <- r
			}
		}
		f.addrs = []string{"z:1"}
		f.start("z:1")
		c := f.dial()
		defer c.Close()
		c.Call("Bank.Deposit", Deposit{Amount: 5}, new(int)) //nolint:errcheck // the server does not answer
		r := <-got
		require.Equal(t, "Bank.Deposit", r.ServiceMethod)
	})
}
