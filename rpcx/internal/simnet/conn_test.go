package simnet_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/simnet"
)

func TestBufferBlocksWhenFull(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		c, s := connect(t, n)
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		sent, err := c.Write(make([]byte, 100<<10))
		require.Equal(t, 64<<10, sent)
		operr(t, err, "write", os.ErrDeadlineExceeded)
		require.NoError(t, c.SetWriteDeadline(time.Time{}))

		done := make(chan error)
		go func() {
			_, err := c.Write([]byte("more"))
			done <- err
		}()
		synctest.Wait()
		_, err = io.ReadFull(s, make([]byte, 64<<10))
		require.NoError(t, err)
		require.NoError(t, <-done)
		read(t, s, "more")
	})
}

// Writes of several goroutines do not mingle, even when each must wait for
// room many times.
func TestWritesDoNotMingle(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		n.Buffer = 7
		c, s := connect(t, n)
		const writers, size = 4, 100
		for i := range writers {
			go c.Write(bytes.Repeat([]byte{byte('a' + i)}, size))
		}
		for range writers {
			b := make([]byte, size)
			_, err := io.ReadFull(s, b)
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat(b[:1], size), b)
		}
	})
}

// A stream of random writes and reads of random sizes, at a random delay and
// through a small buffer, arrives as it was sent.
func TestStreamArrivesWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		rnd := rand.New(rand.NewPCG(1, 2))
		n.Buffer = 1000
		c, s := connect(t, n)
		sent := make([]byte, 200_000)
		for i := range sent {
			sent[i] = byte(rnd.Uint32())
		}
		go func() {
			rnd := rand.New(rand.NewPCG(3, 4))
			for rest := sent; len(rest) > 0; {
				n.Delay(addr, time.Duration(rnd.IntN(10))*time.Millisecond)
				k := min(len(rest), 1+rnd.IntN(3000))
				if _, err := c.Write(rest[:k]); err != nil {
					t.Error(err)
				}
				rest = rest[k:]
			}
			c.CloseWrite()
		}()
		var got []byte
		for {
			b := make([]byte, 1+rnd.IntN(2000))
			k, err := s.Read(b)
			got = append(got, b[:k]...)
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
		}
		require.True(t, bytes.Equal(sent, got))
	})
}

func TestDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		c, s := connect(t, n)
		n.Delay(addr, 50*time.Millisecond)
		start := time.Now()
		write(t, c, "slow")
		require.Zero(t, time.Since(start))
		n.Delay(addr, 0)
		write(t, c, "fast") // does not overtake
		c.CloseWrite()
		read(t, s, "slowfast")
		require.Equal(t, 50*time.Millisecond, time.Since(start))
		_, err := s.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)

		n.Delay(addr, 70*time.Millisecond)
		start = time.Now()
		require.NoError(t, s.Close())
		_, err = c.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.Equal(t, 70*time.Millisecond, time.Since(start))
	})
}

func TestReplies(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		late := 50 * time.Millisecond
		further := func() time.Duration { return late }
		n.Replies(addr, further)
		n.Delay(addr, 10*time.Millisecond)
		c, s := connect(t, n)
		began := time.Now()
		write(t, c, "one")
		read(t, s, "one")
		require.Equal(t, 10*time.Millisecond, time.Since(began), "a request")
		write(t, s, "one")
		late = 0
		write(t, s, "two")
		read(t, c, "onetwo")
		require.Equal(t, 70*time.Millisecond, time.Since(began), "none overtakes another")
		n.Replies(addr, nil)
		late = time.Hour
		write(t, s, "three")
		read(t, c, "three")
		require.Equal(t, 80*time.Millisecond, time.Since(began))
	})
}

func TestDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, n *simnet.Network) {
		c, s := connect(t, n)
		write(t, c, "x")
		require.NoError(t, s.SetDeadline(time.Unix(1, 0)))
		_, err := s.Read(make([]byte, 1)) // past: fails although there is data
		operr(t, err, "read", os.ErrDeadlineExceeded)
		require.True(t, err.(net.Error).Timeout())
		_, err = s.Write([]byte("x"))
		operr(t, err, "write", os.ErrDeadlineExceeded)
		require.NoError(t, s.SetDeadline(time.Time{}))
		read(t, s, "x")

		// A deadline that is set while a read blocks ends it.
		done := make(chan error)
		go func() {
			_, err := s.Read(make([]byte, 1))
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, s.SetReadDeadline(start.Add(time.Minute)))
		synctest.Wait()
		require.NoError(t, s.SetReadDeadline(start.Add(time.Second))) // earlier
		operr(t, <-done, "read", os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestClose(t *testing.T) {
	t.Run("peer reads the data and then EOF", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			c, s := connect(t, n)
			write(t, c, "last words")
			require.NoError(t, c.Close())
			read(t, s, "last words")
			_, err := s.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
			write(t, s, "unheard") // only the answer to it tells
			_, err = s.Write([]byte("x"))
			operr(t, err, "write", syscall.EPIPE)
			require.Equal(t, 1, n.Open(addr))
			s.Close()
			require.Zero(t, n.Open(addr))
		})
	})
	t.Run("own end", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			c, _ := connect(t, n)
			reading, writing := make(chan error), make(chan error)
			go func() {
				_, err := c.Read(make([]byte, 1))
				reading <- err
			}()
			go func() {
				_, err := c.Write(make([]byte, 1<<20))
				writing <- err
			}()
			synctest.Wait()
			require.NoError(t, c.Close())
			operr(t, <-reading, "read", net.ErrClosed)
			operr(t, <-writing, "write", net.ErrClosed)
			operr(t, c.Close(), "close", net.ErrClosed)
			operr(t, c.CloseWrite(), "close", net.ErrClosed)
			require.ErrorIs(t, c.SetDeadline(time.Now()), net.ErrClosed)
		})
	})
	t.Run("peer closes with bytes unread", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			c, s := connect(t, n)
			writing := make(chan error)
			go func() {
				_, err := c.Write(make([]byte, 1<<20))
				writing <- err
			}()
			synctest.Wait()
			require.NoError(t, s.Close())
			operr(t, <-writing, "write", syscall.ECONNRESET)
		})
	})
	t.Run("half", func(t *testing.T) {
		inBubble(t, func(t *testing.T, n *simnet.Network) {
			c, s := connect(t, n)
			write(t, c, "question")
			require.NoError(t, c.CloseWrite())
			_, err := c.Write([]byte("x"))
			operr(t, err, "write", syscall.EPIPE)
			b, err := io.ReadAll(s)
			require.NoError(t, err)
			require.Equal(t, "question", string(b))
			write(t, s, "answer")
			read(t, c, "answer")
		})
	})
}
