package rpcx

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of two failures the doubt is the greater one, and the error that of a server.
func TestBothFail(t *testing.T) {
	own, a, b := errors.New("own"), io.EOF, io.ErrUnexpectedEOF
	for _, c := range []struct{ first, later, want result }{
		{result{}, result{err: a, sent: MaybeSent}, result{err: a, sent: MaybeSent}},
		{result{err: a, sent: MaybeSent}, result{err: b}, result{err: b, sent: MaybeSent}},
		{result{err: a}, result{err: b, sent: MaybeSent}, result{err: b, sent: MaybeSent}},
		{result{err: a, sent: MaybeSent}, result{err: own, own: true}, result{err: a, sent: MaybeSent}},
		{result{err: own, own: true}, result{err: b}, result{err: b}},
		{result{}, result{err: own, own: true}, result{err: own, own: true}},
		{result{err: a, own: true}, result{err: own, own: true}, result{err: own, own: true}},
	} {
		require.Equal(t, c.want, c.first.and(c.later))
	}
}
