package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The mutants take minutes and are run by hand; that each still finds its place, and its test,
// is looked at here.
func TestListFollowsTheCode(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	for _, m := range mutants {
		source, err := os.ReadFile(filepath.Join(root, m.file))
		require.NoError(t, err)
		require.Equal(t, 1, bytes.Count(source, []byte(m.old)), "%s: %s: %s", m.file, m.rule, m.old)
		require.True(t, m.test == "" || m.home(root) != "", "%s: %s: neither its package nor rpcx has the test %s", m.file, m.rule, m.test)
	}
}
