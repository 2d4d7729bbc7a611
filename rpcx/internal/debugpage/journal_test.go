package debugpage

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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

// A repetition is counted in the event that it repeats, which a reader gets once more.
func TestRepetitionsAreCounted(t *testing.T) {
	var j Journal
	start := time.Now()
	always := func(Event) bool { return true }
	require.False(t, j.Repeat("breaker", "a:1", start, always), "there is nothing to repeat")
	j.Note(Event{Kind: "breaker", Endpoint: "a:1", Text: "older", At: start})
	j.Note(Event{Kind: "breaker", Endpoint: "a:1", Text: "is down", At: start})
	j.Note(Event{Kind: "breaker", Endpoint: "b:1"})
	j.Note(Event{Kind: "detector", Endpoint: "a:1"})
	seen := j.Since(0)
	require.Len(t, seen, 4)
	rev := seen[3].Rev
	require.False(t, j.Repeat("breaker", "a:1", start, func(e Event) bool { return e.Text != "is down" }), "it is not alike")
	for n := range 3 {
		require.True(t, j.Repeat("breaker", "a:1", start.Add(time.Duration(n+1)*time.Second), always))
	}
	again := j.Since(rev)
	require.Len(t, again, 1)
	require.EqualValues(t, 2, again[0].Seq)
	require.Equal(t, 3, again[0].Again)
	require.Equal(t, start, again[0].At)
	require.Equal(t, start.Add(3*time.Second), again[0].Last)
	require.Empty(t, j.Since(again[0].Rev))
	require.Len(t, j.Since(0), 4)

	for range journalSize {
		j.Note(Event{})
	}
	require.False(t, j.Repeat("breaker", "a:1", start, always), "it was dropped")
}

// A stream sends an event that was repeated once more, with its count, and no other.
func TestStreamSendsRepetitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFake("a:1")
		c.Note(Event{Kind: "breaker", Endpoint: "a:1"})
		c.Note(Event{Kind: "detector", Endpoint: "a:1"})
		r := pagetest.Stream[frame](t, serve(t, new(http.Server), &Handler{Clients: map[string]Client{"bank": c}}))
		defer r.Body.Close()
		_, first := must(t, r)
		require.Len(t, first.Events, 2)
		c.Repeat("breaker", "a:1", time.Now(), func(Event) bool { return true })
		_, next := must(t, r)
		require.Len(t, next.Events, 1)
		require.EqualValues(t, 1, next.Events[0].Seq)
		require.Equal(t, 1, next.Events[0].Again)
		require.Zero(t, next.Missed)
		_, next = must(t, r)
		require.Empty(t, next.Events)
	})
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
