package codec_test

import (
	"bytes"
	"io"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/codec"
)

// inMemory is a connection whose input has been received completely.
type inMemory struct{ bytes.Buffer }

func (*inMemory) Close() error { return nil }

func TestReadAhead(t *testing.T) {
	for name, c := range map[string]struct {
		client func(io.ReadWriteCloser) rpc.ClientCodec
		server func(io.ReadWriteCloser) rpc.ServerCodec
	}{
		"gob":   {codec.NewGobClient, codec.NewGobServer},
		"json":  {codec.NewJSONClient, codec.NewJSONServer},
		"json2": {codec.NewJSON2Client, codec.NewJSON2Server},
	} {
		t.Run(name, func(t *testing.T) {
			conn := new(inMemory)
			client, server := c.client(conn), c.server(conn)
			for seq := range uint64(3) {
				require.NoError(t, client.WriteRequest(&rpc.Request{ServiceMethod: "A.B", Seq: seq + 1}, int(seq)))
			}
			for i := range 3 {
				var arg int
				require.NoError(t, server.ReadRequestHeader(new(rpc.Request)))
				require.NoError(t, server.ReadRequestBody(&arg))
				require.Equal(t, i, arg)
				require.Equal(t, i < 2, server.(codec.ReadAhead).ReadAhead())
			}
		})
	}
	t.Run("batch", func(t *testing.T) {
		conn := new(inMemory)
		conn.WriteString(`[{"jsonrpc":"2.0","method":"A.B","params":1,"id":1},{"jsonrpc":"2.0","method":"A.B","params":2,"id":2}]` + "\n")
		server := codec.NewJSON2Server(conn)
		for _, more := range []bool{true, false} {
			require.NoError(t, server.ReadRequestHeader(new(rpc.Request)))
			require.NoError(t, server.ReadRequestBody(nil))
			require.Equal(t, more, server.(codec.ReadAhead).ReadAhead())
		}
	})
}
