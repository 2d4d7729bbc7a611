package codec

import (
	"io"
	"math"
)

const (
	defaultMaxFrame = 64 << 20
	defaultMaxBatch = 1024
	// keepBuffer is the largest buffer that is always kept for the next frame. A
	// larger one is kept while frames make use of it, and never beyond keepMost, so
	// that one huge frame does not hold its memory for the connection's life.
	keepBuffer = 256 << 10
	keepMost   = 8 << 20
	keepFrames = 16
	// maxMethod is the length of the longest name of a method. net/rpc's server keeps
	// the last one in each of its request structures.
	maxMethod = 4 << 10
)

// keeper decides whether a buffer is kept.
type keeper struct {
	unused int // frames in a row that were small for the buffer
}

// keep reports whether a buffer of the given capacity is kept after a frame that
// has used some of it.
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

// methodName is the name of a method as it is handed on. One that is too long is cut,
// so that no method has it.
func methodName[T []byte | string](name T) string {
	if len(name) > maxMethod {
		return string(name[:maxMethod]) + "..."
	}
	return string(name)
}

// WholeFrames is implemented by the client codecs of this package. It tells a
// wrapper what it may rely on: ReadResponseHeader returns only when the whole
// reply, body included, is in memory (or has ended early, which
// ReadResponseBody then reports), so ReadResponseBody never waits for the
// network; and every request is exactly one Write (see FrameWriter) of a whole frame.
type WholeFrames interface{ WholeFrames() }

// FrameWriter may be implemented by the connection that a client codec of this package
// is given. It is given each request: WriteFrame is Write, and p is a whole request
// and nothing else. What is no request, a notification, goes to Write.
type FrameWriter interface {
	WriteFrame(p []byte) (n int, err error)
}

// requests returns where to write requests.
func requests(conn io.Writer) io.Writer {
	if f, ok := conn.(FrameWriter); ok {
		return frames{f}
	}
	return conn
}

type frames struct{ FrameWriter }

func (f frames) Write(p []byte) (int, error) { return f.WriteFrame(p) }

// ReadAhead is implemented by the codecs of this package. It tells a server that coalesces
// replies whether another request follows the one whose body was read last, so that its
// reply may follow soon, too.
type ReadAhead interface {
	// ReadAhead reports whether some of a further request, or reply, has arrived. The
	// goroutine that reads may call it after ReadRequestBody or ReadResponseBody.
	ReadAhead() bool
}

// maxFrame resolves a MaxFrame field: 0 is the default, negative is no limit.
func maxFrame(n int64) int64 {
	switch {
	case n == 0:
		return defaultMaxFrame
	case n < 0 || n > math.MaxInt/2:
		return math.MaxInt / 2
	}
	return n
}
