package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/leak"
)

// A client goes on with the last good set while etcd is down.
func TestExample(t *testing.T) {
	leak.Check(t)
	require.NoError(t, run(t.Output(), 2*time.Second))
}
