package rpcx_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
	"resilientrpc/rpcx"
	"resilientrpc/rpcx/internal/leak"
)

// Hazard counts how often its method runs.
type Hazard struct{ ran *atomic.Int64 }

func (h Hazard) Run(int, *bool) error { h.ran.Add(1); return nil }

// TestPostToAJSONServer: what a web page can have a browser send to a port of its
// machine runs nothing. The answer leaves before the connection ends.
func TestPostToAJSONServer(t *testing.T) {
	const call = `{"jsonrpc":"2.0","method":"Hazard.Run","params":[1],"id":1}`
	for version, newCodec := range map[string]func(io.ReadWriteCloser) rpc.ServerCodec{"1.0": codec.NewJSONServer, "2.0": codec.NewJSON2Server} {
		t.Run(version, func(t *testing.T) {
			leak.Check(t)
			ran, server := new(atomic.Int64), rpc.NewServer()
			require.NoError(t, server.Register(Hazard{ran}))
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- rpcx.Serve(ctx, lis, server, newCodec) }()
			defer func() { cancel(); <-served }()

			transport := new(http.Transport)
			defer transport.CloseIdleConnections()
			browser := http.Client{Transport: transport, Timeout: 20 * time.Second}
			for _, body := range []string{call, call + "\n", "\r\n\n" + call + "\n" + call + "\n", "[" + call + "]"} {
				for _, method := range []string{"POST", "PUT", "null", "1"} {
					request, err := http.NewRequest(method, "http://"+lis.Addr().String()+"/"+call, strings.NewReader(body))
					require.NoError(t, err)
					request.Header.Set("Content-Type", "text/plain")
					if response, err := browser.Do(request); err == nil {
						response.Body.Close()
						t.Fatal("it answered in HTTP")
					} else {
						require.NotContains(t, err.Error(), "Timeout", "it ends by itself")
					}
				}
			}
			require.Zero(t, ran.Load())

			conn, err := net.Dial("tcp", lis.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			io.WriteString(conn, call+"\nGET / HTTP/1.1\r\n\r\n"+call+"\n") //nolint:errcheck // the test fails without
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
			answers, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.Contains(t, string(answers), `"id":1`)
			require.Equal(t, version == "2.0", strings.Contains(string(answers), "-32700"))
			require.Equal(t, int64(1), ran.Load(), "what came ahead of it")
		})
	}
}
