package main

import (
	"bytes"
	"os"
	"strings"
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

// A line of the table that the terminal would break is cut off instead: else the next
// redrawing would begin too low.
func TestTableHasRoom(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.live = true
	s.show(status{table: []string{strings.Repeat("ä", columns), strings.Repeat("ö", columns+1)}})
	require.Equal(t, strings.Repeat("ä", columns)+"\n"+strings.Repeat("ö", columns-1)+"…\n", out.String())
}

func TestWrap(t *testing.T) {
	require.Equal(t, "", wrap("", ""))
	require.Equal(t, "  1 s  one", wrap("  1 s  ", " one\n"))
	text := wrap("  1 s  ", strings.Repeat("word ", 30))
	for i, line := range strings.Split(text, "\n") {
		require.LessOrEqual(t, len(line), columns)
		require.Greater(t, len(line), columns-len(" word"))
		require.Equal(t, i == 0, strings.HasPrefix(line, "  1 s  word"))
		require.True(t, i == 0 || strings.HasPrefix(line, "       word"))
		if i == 1 {
			break // the last one may be shorter
		}
	}
	require.Equal(t, 30, strings.Count(text, "word"))
	long := strings.Repeat("x", 2*columns)
	require.Equal(t, "a\n"+long+"\nb", wrap("", "a "+long+" b"), "a long word has a line of its own")
}

func TestCellsSideBySide(t *testing.T) {
	require.Equal(t, "  1 s  a  b", columned("  1 s ", []string{"a", "b"}))
	wide := strings.Repeat("x", 40)
	require.Equal(t, "  1 s  "+wide+"\n       "+wide+"  b", columned("  1 s ", []string{wide, wide, "b"}))
}
