package codec

import (
	"errors"
	"fmt"
)

// ErrRetired matches, by errors.Is, the error of WriteRequest if nothing more may be
// written to the connection, because an earlier write failed, or because the encoder and
// the peer disagree about the types defined so far. Nothing of the request was written.
// Replies to earlier requests can still be read.
var ErrRetired = errors.New("codec: connection takes no more requests")

// retiredError says why a connection is retired.
type retiredError struct{ cause error }

func (e *retiredError) Error() string   { return ErrRetired.Error() + ": " + e.cause.Error() }
func (e *retiredError) Unwrap() []error { return []error{ErrRetired, e.cause} }

// A DecodeError is returned by ReadResponseBody and ReadRequestBody for a body that was
// received whole but could not be decoded. Only this call fails; the next frame can be
// read. Its text is that of its cause.
type DecodeError struct{ Err error }

func (e *DecodeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// An EncodeError is returned by WriteRequest for a request that cannot be encoded, makes
// its encoder panic (such as a nil pointer with gob), or is larger than MaxFrame. Nothing
// of it was written, and only this call fails. Its text is that of its cause. WriteResponse
// returns one for such a reply, with the text of the error that was sent in its place.
type EncodeError struct{ Err error }

func (e *EncodeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

// A FrameError says that a frame is larger than MaxFrame. For an outgoing frame it is
// wrapped in an *EncodeError and fails the call. For an incoming frame it ends the
// connection, because the rest of the frame is not read.
type FrameError struct {
	// Size is a lower bound of the frame's size in bytes: the size that has arrived or was
	// announced.
	Size int64
	// Max is the limit in bytes.
	Max int64

	limitName string // the field that sets Max
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("codec: frame of %d bytes or more; %s allows %d", e.Size, e.limitName, e.Max)
}

// The names of the fields that set MaxFrame, for a FrameError.
const (
	gobLimitName   = "codec.Gob.MaxFrame"
	jsonLimitName  = "codec.JSON.MaxFrame"
	json2LimitName = "codec.JSON2.MaxFrame"
)

// panicError returns the error for a recovered panic of an encoder or decoder.
func panicError(format string, p any) error {
	if err, ok := p.(error); ok {
		return fmt.Errorf("codec: %s panicked: %w", format, err)
	}
	return fmt.Errorf("codec: %s panicked: %v", format, p)
}
