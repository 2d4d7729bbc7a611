package main

import (
	"io"
	"testing"
)

// TestOneSetting: with the zero Config, detection within 2.5 s of silence and no
// mistake on any path.
func TestOneSetting(t *testing.T) {
	t.Parallel()
	if !oneSetting(io.Discard, 77, 5) {
		t.Error("a path took longer to detect or was misjudged more often than promised; see go run .")
	}
}
