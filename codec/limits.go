package codec

import (
	"io"
	"math"
)

const (
	defaultMaxFrame = 64 << 20
	defaultMaxBatch = 1024
	// keepBuffer is the largest buffer that is always kept for the next frame. A larger
	// one, up to keepMost, is kept if one of the last keepFrames frames has needed it.
	// So one large frame does not hold its memory as long as the connection lasts.
	keepBuffer = 256 << 10
	keepFrames = 16
	// maxMethod is the length of the longest name of a method. It is limited because
	// net/rpc's server keeps the last name in each of its request structures.
	maxMethod = 4 << 10
)

// keepMost is a variable so that tests need not send messages of more than 8 MB.
var keepMost = 8 << 20

// keeper decides whether a buffer is kept.
type keeper struct {
	unused int // number of frames in a row that used little of the buffer
}

// keep reports whether to keep a buffer of the given capacity after a frame that has used
// a number of bytes of it.
func (k *keeper) keep(capacity, used int) bool {
	if capacity <= keepBuffer {
		return true
	}
	if used > capacity/8 {
		k.unused = 0
	} else {
		k.unused++
	}
	return capacity <= keepMost && k.unused < keepFrames
}

// methodName returns the name of a method. It cuts one that is too long, so that no method
// with it is found.
func methodName[T []byte | string](name T) string {
	if len(name) > maxMethod {
		return string(name[:maxMethod]) + "..."
	}
	return string(name)
}

// WholeFrames is implemented by the client codecs of this package. A codec with this
// method has two properties. It writes each request by exactly one Write or WriteFrame.
// And ReadResponseHeader returns after the whole reply has been received, so that
// ReadResponseBody never waits for the network; if the stream has ended within the body,
// ReadResponseBody returns the error.
type WholeFrames interface{ WholeFrames() }

// A FrameWriter is a connection that distinguishes requests from other messages. If the
// connection of a client codec is a FrameWriter, the codec writes each request by
// WriteFrame, which is Write for one whole request, and other messages by Write.
type FrameWriter interface {
	WriteFrame(p []byte) (n int, err error)
}

// requests returns the writer of requests: conn, or its WriteFrame.
func requests(conn io.Writer) io.Writer {
	if f, ok := conn.(FrameWriter); ok {
		return frames{f}
	}
	return conn
}

type frames struct{ FrameWriter }

func (f frames) Write(p []byte) (int, error) { return f.WriteFrame(p) }

// ReadAhead is implemented by the codecs of this package. A server that coalesces replies
// can delay a reply if another request has already arrived.
type ReadAhead interface {
	// ReadAhead reports whether a part of another request or reply has been received.
	// The reading goroutine may call it after ReadRequestBody or ReadResponseBody.
	ReadAhead() bool
}

// maxFrame returns the limit for a MaxFrame field.
func maxFrame(n int64) int64 {
	switch {
	case n == 0:
		return defaultMaxFrame
	case n < 0 || n > math.MaxInt/2:
		return math.MaxInt / 2
	}
	return n
}
