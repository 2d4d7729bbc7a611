package rpcx_test

import (
	"context"
	"errors"
	"io"
	"net/rpc"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
)

// A *rpc.Client gets lost answers, too.
func TestLostAnswerOfAStandardClient(t *testing.T) {
	for _, json := range []bool{false, true} {
		inShop(t, 1, rpcx.ServeConfig{}, json, func(t *testing.T, s *shop) {
			c := s.dial()
			defer c.Close()
			for id := 1; id <= 3; id++ { // the third is an error of the method
				s.breaksAt(time.Second)
				var receipt string
				err := c.StandardClient().Call("Till.Ring", &Sale{ID: id, Takes: 2 * time.Second}, &receipt)
				s.told(id, receipt, err)
				require.Equal(t, id == 3, err != nil, err)
			}
			require.EqualValues(t, 3, c.Stats().DoubtsResolved)
		})
	}
}

// Fuse is a service whose methods fail.
type Fuse struct{}

// Blow panics.
func (Fuse) Blow(after time.Duration, _ *int) error {
	time.Sleep(after) // virtual
	panic("blown")
}

// Trip returns an error.
func (Fuse) Trip(after time.Duration, _ *int) error {
	time.Sleep(after) // virtual
	return errors.New("tripped")
}

// drainable serves Till and Fuse at an address, behind a middle at another one, until stop is
// called.
func (s *shop) drainable(newCodec func(io.ReadWriteCloser) rpc.ServerCodec) (m *middle, stop func(), ended <-chan error) {
	server := rpc.NewServer()
	require.NoError(s.t, server.Register(&Till{s.ledger}))
	require.NoError(s.t, server.Register(Fuse{}))
	ctx, stop := context.WithCancel(context.Background())
	cfg, end, lis := s.cfg, make(chan error, 1), s.network.Listen("drainable:1")
	go func() { end <- cfg.Serve(ctx, lis, server, newCodec) }()
	s.network.Delay("drainable", time.Millisecond)
	return newMiddle(s.network, "drainable", "drainable:1"), stop, end
}

var keepers = map[string]struct {
	client func(io.ReadWriteCloser) rpc.ClientCodec
	server func(io.ReadWriteCloser) rpc.ServerCodec
}{
	"gob":   {nil, codec.NewGobServer},
	"json":  {codec.NewJSONClient, codec.NewJSONServer},
	"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
}

// The answer over another connection is the one that was lost, whatever it is; and a server that
// is to stop waits for the question, as for any request.
func TestLostAnswerIsTheSame(t *testing.T) {
	t.Parallel()
	for name, codecs := range keepers {
		t.Run(name, func(t *testing.T) {
			inShop(t, 1, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
				m, stop, ended := s.drainable(codecs.server)
				s.dialer.Codec = codecs.client
				asked := s.asked()
				c, err := s.dialer.Dial("tcp", "drainable")
				require.NoError(t, err)
				defer c.Close()
				time.Sleep(2 * time.Second)
				for _, method := range []string{"Fuse.Trip", "Fuse.Blow"} {
					want := c.Call(method, time.Duration(0), new(int))
					require.Error(t, want)
					time.AfterFunc(time.Second, m.breakClients)
					require.Equal(t, want, c.Call(method, 2*time.Second, new(int)))
				}
				call := c.Go("Till.Ring", &Sale{ID: 1, Takes: 20 * time.Second}, new(string), nil)
				time.AfterFunc(time.Second, m.breakClients)
				time.Sleep(3 * time.Second)
				stop()
				require.NoError(t, (<-call.Done).Error)
				require.Equal(t, "sale 1", *call.Reply.(*string))
				require.NoError(t, <-ended)
				require.Len(t, *asked, 3)
			})
		})
	}
}
