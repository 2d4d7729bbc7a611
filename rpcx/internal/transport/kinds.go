package transport

import (
	"errors"

	"resilientrpc/codec"
)

// These checks are made of every exchange, and the target of errors.As costs an
// allocation: nil is none of the kinds.

// ExchangeError returns what ended an exchange without a reply and left its connection
// alone, or nil.
func ExchangeError(err error) *codec.ExchangeError {
	if err == nil {
		return nil
	}
	var end *codec.ExchangeError
	errors.As(err, &end)
	return end
}

// IsDecodeError reports whether a reply came and could not be decoded.
func IsDecodeError(err error) bool {
	if err == nil {
		return false
	}
	var decode *codec.DecodeError
	return errors.As(err, &decode)
}
