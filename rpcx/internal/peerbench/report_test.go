package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every block that a run fills is in a document, and the documents have no others.
func TestDocumentsHaveBlocks(t *testing.T) {
	blocks := []string{"aims", "behind", "faults", "features", "frozen", "idle", "machine", "outage", "reactions", "speed"}
	var found []string
	r := make(report)
	for _, b := range blocks {
		r[b] = "new " + b
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "docs"), 0o755))
	for _, name := range documents {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		for _, after := range strings.Split(string(text), blockBegin)[1:] {
			block, _, _ := strings.Cut(after, commentEnd)
			found = append(found, block)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	slices.Sort(found)
	require.Equal(t, blocks, found)

	require.NoError(t, r.write(dir))
	for _, name := range documents {
		before, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		after, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		n := strings.Count(string(before), blockBegin)
		require.Equal(t, n, strings.Count(string(after), blockBegin))
		require.Equal(t, n, strings.Count(string(after), commentEnd+"\nnew "))
	}
}

func TestFill(t *testing.T) {
	r := report{"one": "\n1\n"}
	got, err := r.fill("a\n<!-- peers: one -->\nold\n<!-- peers end -->\nb\n<!-- peers: two -->\nkept\n<!-- peers end -->\n")
	require.NoError(t, err)
	require.Equal(t, "a\n<!-- peers: one -->\n\n1\n\n<!-- peers end -->\nb\n<!-- peers: two -->\nkept\n<!-- peers end -->\n", got)
	again, err := r.fill(got)
	require.NoError(t, err)
	require.Equal(t, got, again)
	for _, bad := range []string{"<!-- peers: one", "<!-- peers: one -->\n", "<!-- peers: one -->\n<!-- peers: two -->\n<!-- peers end -->"} {
		_, err := r.fill(bad)
		require.Error(t, err, bad)
	}
}

func TestMarkdown(t *testing.T) {
	tab := &table{title: "title", head: []string{"", "x"}}
	tab.add("row", "1")
	tab.note("why")
	tab.note("because")
	require.Equal(t, "|  | x |\n|---|---|\n| row | 1 |\n\n- why\n- because\n", tab.markdown())
}

func TestShare(t *testing.T) {
	require.Equal(t, "0", share(0, 0))
	require.Equal(t, "0.1 %", share(1, 5000))
	require.Equal(t, "1.2 %", share(12, 1000))
	require.Equal(t, "14 %", share(143, 1000))
}
