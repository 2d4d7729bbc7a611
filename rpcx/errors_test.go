package rpcx_test

import (
	"errors"
	"fmt"
	"net/rpc"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

func TestErrorsIs(t *testing.T) {
	err := error(&rpcx.CallError{Err: fmt.Errorf("wrapped: %w", rpcx.ErrUnresponsive)})
	require.ErrorIs(t, err, rpcx.ErrUnresponsive)
	require.NotErrorIs(t, err, rpcx.ErrUnavailable)
	require.False(t, errors.As(err, new(rpc.ServerError)))
}
