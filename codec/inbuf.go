package codec

import (
	"io"
	"sync"
)

const minBuffer = 8 << 10

// buffers are the buffers of minBuffer bytes that idle connections have released.
var buffers = sync.Pool{New: func() any { return new([minBuffer]byte) }}

// inbuf receives one frame at a time. It keeps further bytes for the next frame.
type inbuf struct {
	r          io.Reader
	buf        []byte
	start, end int // buf[start:end] has arrived and is not released
	max        int64
	limitName  string
	keeper     keeper // of buf
}

// bytes returns the bytes received from the current frame on. The slice is valid until
// the next call of more or release.
func (b *inbuf) bytes() []byte { return b.buf[b.start:b.end] }

// more waits for at least one more byte. The buffer grows only when it is full, whatever
// length the peer has announced, and to no more than a frame may need.
func (b *inbuf) more() error {
	if b.end == len(b.buf) {
		b.makeRoom()
	}
	for range 100 {
		n, err := b.r.Read(b.buf[b.end:])
		if n < 0 || n > len(b.buf)-b.end {
			return io.ErrNoProgress // a broken Reader
		}
		b.end += n
		if n > 0 {
			return nil // the next Read returns the error again, if there is one
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (b *inbuf) makeRoom() {
	have := b.bytes()
	if b.start == 0 || len(have) > len(b.buf)/2 {
		size := max(2*len(b.buf), minBuffer)
		if limit := b.max + minBuffer; int64(size) > limit && limit > int64(len(have)) {
			size = int(limit)
		}
		b.buf = newBuffer(size)
	}
	b.end = copy(b.buf, have)
	b.start = 0
}

func newBuffer(size int) []byte {
	if size == minBuffer {
		return buffers.Get().(*[minBuffer]byte)[:]
	}
	return make([]byte, size)
}

// rest releases the buffer if it is empty. A slice from bytes is not valid any more.
func (b *inbuf) rest() {
	if b.start == b.end && len(b.buf) == minBuffer {
		buffers.Put((*[minBuffer]byte)(b.buf))
		b.buf = nil
	}
}

// release removes the first n bytes, the frame that has been processed.
func (b *inbuf) release(n int) {
	b.start += n
	if b.start == b.end {
		b.start, b.end = 0, 0
	}
	if n == 0 || len(b.buf) <= keepBuffer {
		return
	}
	if rest := b.end - b.start; !b.keeper.keep(len(b.buf), n) && rest <= minBuffer {
		small := make([]byte, minBuffer)
		b.end = copy(small, b.bytes())
		b.buf, b.start = small, 0
	}
}

func (b *inbuf) tooLarge(size int64) error {
	return &FrameError{Size: size, Max: b.max, limitName: b.limitName}
}
