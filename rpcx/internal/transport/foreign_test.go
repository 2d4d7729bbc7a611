package transport

import (
	"io"
	"net"
	"net/rpc"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/wire"
)

// unguarded stands for a codec whose reader and Close use the same variable, unguarded, as that of
// hashicorp/net-rpc-msgpackrpc. Its reader takes some time for what it has read.
type unguarded struct {
	conn   io.ReadWriteCloser
	took   time.Duration
	reads  chan struct{} // gets one when a byte has come
	inside atomic.Bool   // the reader is in the codec
	shared bool          // Close found it there
}

func (u *unguarded) ReadResponseHeader(*rpc.Response) error {
	u.inside.Store(true)
	defer u.inside.Store(false)
	if _, err := u.conn.Read(make([]byte, 1)); err != nil {
		return err
	}
	u.reads <- struct{}{}
	time.Sleep(u.took) // in virtual time
	return nil
}

func (u *unguarded) ReadResponseBody(any) error { return nil }

func (u *unguarded) WriteRequest(*rpc.Request, any) error { return nil }

func (u *unguarded) Close() error {
	u.shared = u.inside.Load()
	return u.conn.Close()
}

// A foreign codec is not closed while it reads, unless it does not come to an end of that.
func TestForeignCodecIsNotClosedWhileItReads(t *testing.T) {
	for name, c := range map[string]struct {
		took   time.Duration
		within time.Duration
		shared bool
	}{
		"it decodes":          {took: 100 * time.Millisecond, within: 100 * time.Millisecond},
		"it decodes for ever": {took: time.Hour, within: wire.LeaveWithin, shared: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				defer far.Close()
				u := &unguarded{took: c.took, reads: make(chan struct{}, 1)}
				o := &observer{}
				require.NoError(t, o.Open(near, func(conn io.ReadWriteCloser) (rpc.ClientCodec, error) {
					u.conn = conn
					return u, nil
				}, Config{Observer: o}))
				_, err := far.Write([]byte{1})
				require.NoError(t, err)
				<-u.reads
				begun := time.Now()
				o.Fail(wire.ErrClosed)
				<-o.CloseDone()
				require.Equal(t, c.within, time.Since(begun))
				require.Equal(t, c.shared, u.shared)
				time.Sleep(c.took) // until the reader has ended
			})
		})
	}
}
