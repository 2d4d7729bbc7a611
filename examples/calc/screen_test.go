package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTableIsRedrawnInPlaceBeneathTheStory(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	require.False(t, s.live, "a buffer is no terminal")
	s.live = true
	s.print("story 1")
	s.show(status{line: "-", table: []string{"", "a", "b"}})
	s.show(status{line: "-", table: []string{"", "c"}})
	s.print("story 2")
	const erase3, erase2 = "\x1b[3A\x1b[J", "\x1b[2A\x1b[J"
	require.Equal(t, "story 1\n"+"\na\nb\n"+erase3+"\nc\n"+erase2+"story 2\n\nc\n", out.String())
}

func TestPlainLinesElsewhere(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.print("story 1")
	s.show(status{line: "line 1", table: []string{"", "a"}})
	s.print("story 2")
	require.Equal(t, "story 1\nline 1\nstory 2\n", out.String())
}

// A file is none either, whatever TERM says.
func TestFileIsNoTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	f, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	defer f.Close()
	require.False(t, isTerminal(f))
}

func TestStopLosesNothingThatWasSaid(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.start()
	for n := range 100 {
		s.say("line %d", n)
	}
	s.stop()
	require.Equal(t, 100, bytes.Count(out.Bytes(), []byte("\n")))
	s.say("too late")     // does not block
	s.whisper("too late") // nor does this
	for range 100 {
		s.whisper("whoever cannot wait is not made to")
	}
	require.NotContains(t, out.String(), "too late")
}
