package codec

import (
	"errors"
	"fmt"
)

// ErrRetired is matched, by errors.Is, by the error of a WriteRequest on a
// connection on which nothing more may be written, because an earlier write
// failed or left the encoder and the peer at odds. Nothing of the request was
// written. Replies to earlier requests can still be read.
var ErrRetired = errors.New("codec: connection takes no more requests")

// retiredError says why a connection is retired.
type retiredError struct{ cause error }

func (e *retiredError) Error() string   { return ErrRetired.Error() + ": " + e.cause.Error() }
func (e *retiredError) Unwrap() []error { return []error{ErrRetired, e.cause} }

// A DecodeError is returned by ReadResponseBody and ReadRequestBody for a body
// that was received whole but could not be decoded. The stream is in step: only
// the call concerned has failed. Its text is that of its cause.
type DecodeError struct{ Err error }

func (e *DecodeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// An EncodeError is returned by WriteRequest for a request that could not be
// encoded, or would be larger than MaxFrame. Nothing of it was written and the
// stream is in step: only the call concerned has failed. Its text is that of
// its cause. An argument that makes its encoder panic, such as a nil pointer
// given to gob, is an EncodeError too.
type EncodeError struct{ Err error }

func (e *EncodeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

// A FrameError says that a frame is larger than MaxFrame. An outgoing one is
// wrapped in an *EncodeError and fails its call; an incoming one ends the
// connection, because the rest of it is left unread.
type FrameError struct {
	// Size is the frame's size in bytes, as far as it is known: of an incoming
	// one, what has arrived or was announced so far.
	Size int64
	// Max is the limit in bytes.
	Max int64

	knob string // the field that sets Max
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("codec: frame of %d bytes or more; %s allows %d", e.Size, e.knob, e.Max)
}

// The fields that set MaxFrame, as a FrameError names them.
const (
	gobKnob   = "codec.Gob.MaxFrame"
	jsonKnob  = "codec.JSON.MaxFrame"
	json2Knob = "codec.JSON2.MaxFrame"
)

// panicError turns a recovered panic of an encoder or decoder into an error.
func panicError(format string, p any) error {
	if err, ok := p.(error); ok {
		return fmt.Errorf("codec: %s panicked: %w", format, err)
	}
	return fmt.Errorf("codec: %s panicked: %v", format, p)
}
