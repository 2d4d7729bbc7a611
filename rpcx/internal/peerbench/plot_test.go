package main

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChart(t *testing.T) {
	c := newChart("title", "unit")
	require.NoError(t, c.save("", "nowhere"))
	c.groups = []string{"one", "two"}
	for i := range c.groups {
		for _, who := range contenders {
			c.add(who.name, float64(i+1))
		}
	}
	dir := t.TempDir()
	require.NoError(t, c.save(dir, "a file"))
	f, err := os.Open(filepath.Join(dir, "a-file.png"))
	require.NoError(t, err)
	defer f.Close()
	_, err = png.Decode(f)
	require.NoError(t, err)
}

// Contenders have colors of their own.
func TestColors(t *testing.T) {
	seen := make(map[any]string)
	for _, c := range contenders {
		require.Contains(t, colors, c.name)
		require.Empty(t, seen[colors[c.name]], c.name)
		seen[colors[c.name]] = c.name
	}
	require.Len(t, colors, len(contenders))
}
