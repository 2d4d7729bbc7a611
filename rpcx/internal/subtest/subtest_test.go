package subtest_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx/internal/subtest"
)

func TestGroup(t *testing.T) {
	var ended atomic.Int32
	first, second := make(chan struct{}), make(chan struct{})
	t.Run("parent", func(t *testing.T) {
		var g subtest.Group
		defer g.Wait()
		g.Run(t, "first", func(t *testing.T) {
			defer ended.Add(1)
			close(first)
			<-second // it runs beside this one
			require.Equal(t, "TestGroup/parent/first", t.Name())
		})
		g.Run(t, "second", func(t *testing.T) {
			defer ended.Add(1)
			close(second)
			<-first
			require.Equal(t, "TestGroup/parent/second", t.Name())
		})
	})
	require.EqualValues(t, 2, ended.Load(), "the parent waits for them")
}
