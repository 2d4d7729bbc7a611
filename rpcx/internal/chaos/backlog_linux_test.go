package chaos_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/chaos"
)

// Nobody answers: neither a connection nor a refusal.
func TestProxyBacklogIsFull(t *testing.T) {
	b := newBench(t)
	b.set(chaos.Backlog)
	_, err := net.DialTimeout("tcp", b.Addr, short)
	require.True(t, isTimeout(err), "%v", err)
	b.set(chaos.Healthy)
	b.passes(b.dial())
}
