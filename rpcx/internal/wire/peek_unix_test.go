//go:build unix && !aix

package wire

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A socket that is made blocking is peeked at without a wait, and works with deadlines again.
func TestPeekAtABlockingSocket(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	conn, err := net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	peer, err := lis.Accept()
	require.NoError(t, err)
	defer time.AfterFunc(10*time.Second, func() { peer.Close() }).Stop() // a wait ends with an error

	f, err := conn.(*net.TCPConn).File()
	require.NoError(t, err)
	defer f.Close()
	data, err := recvPeek(int(f.Fd()))
	require.NoError(t, err)
	require.False(t, data)

	w := New(conn, Config{})
	data, err = w.Peek()
	require.NoError(t, err)
	require.False(t, data)
	w.ReadBy(time.Now().Add(10 * time.Millisecond))
	_, err = w.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, peer.Close())
}
