package transport

import (
	"errors"
	"io"
	"net"
	"net/rpc"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusing is a connection that takes nothing.
type refusing struct{ net.Conn }

var errRefused = errors.New("refused")

func (refusing) Write([]byte) (int, error) { return 0, errRefused }

// greeting is a codec that writes as it is made.
type greeting struct {
	rpc.ClientCodec
	closed atomic.Int64
}

func (g *greeting) Close() error {
	g.closed.Add(1)
	return g.ClientCodec.Close()
}

// If the greeting of a codec cannot be written, the connection ends although the codec is still
// being made. It is closed once it is, and if it is not, the connection stays its maker's.
func TestGreetingThatIsNotWritten(t *testing.T) {
	for name, codecs := range codecs {
		for _, made := range []bool{true, false} {
			t.Run(name+map[bool]string{false: ", which fails"}[made], func(t *testing.T) {
				for range 100 {
					near, far := net.Pipe()
					g, o := new(greeting), new(observer)
					err := o.Open(refusing{near}, func(conn io.ReadWriteCloser) (rpc.ClientCodec, error) {
						io.WriteString(conn, "hello") //nolint:errcheck // it goes to memory
						if !made {
							return nil, io.EOF
						}
						g.ClientCodec = codecs.client(conn)
						return g, nil
					}, Config{Observer: o})
					if !made {
						require.Equal(t, io.EOF, err)
						go near.Write([]byte("x")) //nolint:errcheck // the test fails if it is closed
						_, err = far.Read(make([]byte, 1))
						require.NoError(t, err)
						require.NoError(t, near.Close())
						continue
					}
					require.NoError(t, err)
					<-o.CloseDone()
					require.NoError(t, o.CloseErr())
					require.Equal(t, errRefused, o.Cause())
					require.EqualValues(t, 1, g.closed.Load())
				}
			})
		}
	}
}
