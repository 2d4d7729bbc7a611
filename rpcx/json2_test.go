package rpcx_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/codec/jsonhttp"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// A JSON-RPC 2.0 error object reaches the caller whole, and fails its call only.
func TestErrorObject(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.serve = func(_ *rpc.Server, c io.ReadWriteCloser) {
			requests := json.NewDecoder(c)
			for {
				var r struct{ ID int }
				if requests.Decode(&r) != nil {
					return
				}
				fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%d,"error":{"code":-7,"message":"no","data":[1,2]}}`, r.ID)
			}
		}
		f.start("z:1")
		f.addrs = []string{"z:1"}
		f.dialer.Codec = codec.NewJSON2Client
		c := f.dial()
		defer c.Close()
		for range 100 {
			err := c.Call("Any.Thing", Args{1, 2}, new(int))
			require.Equal(t, &codec.Error{Code: -7, Message: "no", Data: json.RawMessage("[1,2]")}, err)
		}
		require.Equal(t, 1, f.Dials("z:1"))
		require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
	})
}

func TestJSON2OverHTTP(t *testing.T) {
	leak.Check(t)
	server := rpc.NewServer()
	require.NoError(t, server.Register(Arith{}))
	ts := httptest.NewServer(jsonhttp.NewHandler(server))
	defer ts.Close()
	d := rpcx.Dialer{
		Codec:   codec.NewJSON2Client,
		NetDial: jsonhttp.Dialer(jsonhttp.Config{URL: "http:///"}),
	}
	multiplies(t, d, "tcp", strings.TrimPrefix(ts.URL, "http://"))
}

func TestJSON2OverTCP(t *testing.T) {
	leak.Check(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accept(t, lis, func(s *rpc.Server, c io.ReadWriteCloser) { s.ServeCodec(codec.NewJSON2Server(c)) })
	d := rpcx.Dialer{Codec: codec.NewJSON2Client}
	multiplies(t, d, "tcp", lis.Addr().String())

	c, err := d.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	var e *codec.Error
	require.ErrorAs(t, c.Call("Arith.None", Args{}, new(int)), &e)
	require.Equal(t, codec.CodeMethodNotFound, e.Code)
}
