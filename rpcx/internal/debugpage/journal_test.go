package debugpage

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"resilientrpc/rpcx/internal/pagetest"

	"github.com/stretchr/testify/require"
)

// However many events there are, the last ones are kept, and the others are counted.
func TestJournalIsBounded(t *testing.T) {
	c := newFake("a:1")
	h := &Handler{Clients: map[string]Client{"bank": c}}
	require.Empty(t, c.Since(0))
	for n := 1; n <= 3*journalSize; n++ {
		c.Note(Event{Text: fmt.Sprint(n)})
		require.Len(t, c.Since(0), min(n, journalSize))
		require.Len(t, c.Since(uint64(n-1)), 1)
		require.Empty(t, c.Since(uint64(n)))
	}
	last := pagetest.Figures[frame](t, h, "/?format=json").Clients[0]
	require.Len(t, last.Events, journalSize)
	require.EqualValues(t, 2*journalSize, last.Missed)
	for i, e := range last.Events {
		require.EqualValues(t, 2*journalSize+1+i, e.Seq)
		require.Equal(t, fmt.Sprint(e.Seq), e.Text)
	}
}

func TestTextsAreBounded(t *testing.T) {
	var j Journal
	j.Note(Event{Text: "a\xffb" + strings.Repeat("ü", 10_000)})
	text := j.Since(0)[0].Text
	require.True(t, utf8.ValidString(text))
	require.LessOrEqual(t, len(text), maxText+len("…"))
	require.True(t, strings.HasPrefix(text, "a\uFFFDbü"))
	require.True(t, strings.HasSuffix(text, "ü…"))
	require.Equal(t, "short", Bounded("short"))
}
