package codec_test

import (
	"io"
	"net"
	"net/rpc"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// Danger counts how often its method runs.
type Danger struct{ ran *atomic.Int64 }

func (d Danger) Run(int, *bool) error { d.ran.Add(1); return nil }

var servers = map[string]func(io.ReadWriteCloser) rpc.ServerCodec{"1.0": codec.NewJSONServer, "2.0": codec.NewJSON2Server}

const (
	danger      = `{"jsonrpc":"2.0","method":"Danger.Run","params":[1],"id":1}`
	dangerBatch = `[` + danger + `,` + danger + `]`
)

// TestNoMethodRunsForABrowser: a web page can make a browser send HTTP to a local port, and
// choose the body, the path and a part of the header. No method may run, even if the body is
// a JSON-RPC request.
func TestNoMethodRunsForABrowser(t *testing.T) {
	header := "Host: localhost:1\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n"
	tests := map[string]string{
		"POST":                          "POST / HTTP/1.1\r\n" + header + "\r\n" + danger,
		"line":                          "POST / HTTP/1.1\r\n" + header + "\r\n" + danger + "\n",
		"line in the middle":            "POST / HTTP/1.1\r\n" + header + "\r\nx\n\n" + danger + "\n" + danger + "\r\n",
		"batch":                         "POST / HTTP/1.1\r\n" + header + "\r\n\r\n" + dangerBatch + "\r\n",
		"blank lines in front":          "\r\n \t\r\n\n\nPOST / HTTP/1.1\r\n" + header + "\r\n" + danger + "\n",
		"bare newlines":                 "POST / HTTP/1.1\nHost: x\n\n" + danger + "\n",
		"chunked":                       "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + danger + "\r\n0\r\n\r\n",
		"GET":                           "GET /" + danger + " HTTP/1.1\r\n" + header + "\r\n",
		"method that is JSON":           "null / HTTP/1.1\r\n" + header + "\r\n" + danger,
		"method that is a number":       "5 / HTTP/1.1\r\n" + header + "\r\n" + danger,
		"header that is JSON":           "POST / HTTP/1.1\r\n" + danger + "\r\n" + header + "\r\n",
		"header value":                  "POST / HTTP/1.1\r\nX: \n" + danger + "\n" + header + "\r\n",
		"HTTP/2":                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + danger,
		"request line that is JSON":     `{"a":1} / HTTP/1.1` + "\r\n" + header + "\r\n" + danger,
		"request line that is an array": `[] / HTTP/1.1` + "\r\n" + header + "\r\n" + danger,
		"request line nearly JSON":      `{"a":007} [1,] / HTTP/1.1` + "\r\n" + header + "\r\n" + danger,
		"header between brackets":       `{ / HTTP/1.1` + "\r\n" + header + "\r\n}\n" + danger + "\n",
		"header between brackets, []":   `[ / HTTP/1.1` + "\r\n" + header + "\r\n]\n" + danger + "\n",
		"header without slashes":        `{"a": HTTP` + "\r\nHost: x\r\n\r\n}\n" + danger + "\n",
		"header within a string":        `{"a":" / HTTP/1.1` + "\r\n" + header + "\r\n\"}\n" + danger + "\n",
		"header within an escape":       `{"a":" / HTTP/1.1\` + "\n" + header + "\r\n\"}\n" + danger + "\n",
		"scalar in front":               "1\n" + danger,
		"string in front":               "\"POST\"\n" + danger,
		"closing bracket in front":      "}\n" + danger,
		"mark and POST":                 "\ufeffPOST / HTTP/1.1\r\n\r\n" + danger,
		"null byte":                     "\x00" + danger,
	}
	for version, newCodec := range servers {
		for name, request := range tests {
			t.Run(version+"/"+name, func(t *testing.T) {
				ran, answer := new(atomic.Int64), make(chan string, 1)
				server := rpc.NewServer()
				require.NoError(t, server.RegisterName("Danger", Danger{ran}))
				client, conn := tcpPipe(t)
				defer client.Close()
				go func() {
					client.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // the test fails then
					all, err := io.ReadAll(client)
					if err != nil {
						all = []byte(err.Error())
					}
					answer <- string(all)
					client.Close()
				}()
				io.WriteString(client, request) //nolint:errcheck // the server may have closed
				server.ServeCodec(newCodec(conn))
				require.Zero(t, ran.Load(), "the method ran")
				got := <-answer
				require.NotContains(t, got, "timeout", "it ends by itself")
				if version == "1.0" {
					require.NotContains(t, got, "true")
					return
				}
				require.Equal(t, parseError, lastLine(got), "the answer leaves before the connection ends")
			})
		}
	}
}

// patience is how long a test waits for what happens at once.
const patience = 20 * time.Second

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	return lines[len(lines)-1]
}

// TestPendingRepliesLeaveBeforeTheEnd: requests before malformed input get replies.
func TestPendingRepliesLeaveBeforeTheEnd(t *testing.T) {
	for version, newCodec := range servers {
		client, conn := tcpPipe(t)
		server := newServer()
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.ServeCodec(newCodec(conn))
		}()
		name := "pending " + version
		io.WriteString(client, `{"jsonrpc":"2.0","method":"Echo.Wait","params":["`+name+`"],"id":1}`+"\nGET / HTTP/1.1\r\n") //nolint:errcheck // the test fails without
		if version == "2.0" {                                                                                                // the garbage is answered meanwhile
			require.Contains(t, readLine(t, client), "-32700")
		}
		require.NoError(t, Echo{}.Release(name, nil))
		require.Contains(t, readLine(t, client), name)
		require.NoError(t, client.SetReadDeadline(time.Now().Add(patience)))
		_, err := client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err, "it ends by itself")
		client.Close()
		<-done
	}
}

func readLine(t *testing.T, conn net.Conn) string {
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		_, err := conn.Read(b)
		require.NoError(t, err)
		if b[0] == '\n' {
			return string(line)
		}
	}
}
