package rpcx

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// The table of the package documentation is that of the code, row by row.
func TestOutcomesAreDocumented(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(source), "//\tend of the attempt ")
	require.True(t, found)
	table, _, found = strings.Cut(table, "//\n")
	require.True(t, found)
	rows := strings.Split(strings.TrimSpace(table), "\n")[1:]
	require.Len(t, rows, len(outcomes))
	columns := regexp.MustCompile(` {2,}`)
	notes := strings.NewReplacer("¹", "", "²", "", "³", "", "⁴", "", "⁵", "")
	for i, row := range rows {
		cells := columns.Split(strings.TrimPrefix(notes.Replace(row), "//\t"), -1)
		require.Len(t, cells, 3, row)
		o := outcomes[i]
		require.Equal(t, o.end, cells[0])
		require.Equal(t, map[breaker.Outcome]string{
			breaker.Success: "success", breaker.Failure: "failure", breaker.Ignored: "ignored",
		}[o.breaker], cells[1], row)
		repeat := map[repeat]string{never: "no", ifIdempotent: "if idempotent", elsewhere: "yes, elsewhere"}[o.repeat]
		if end(i) == replied {
			repeat = "–"
		}
		require.Equal(t, repeat, cells[2], row)
	}
}

// What a server has not run may go elsewhere, and nothing that it may have run does unless
// it is idempotent, whatever ended the attempt.
func TestDoubtDecidesOnRepetitions(t *testing.T) {
	for i, o := range outcomes {
		r := result{end: end(i), sent: MaybeSent}
		if o.repeat == elsewhere {
			continue // such ends are chosen only of what was not run
		}
		require.False(t, r.mayRepeat(false), o.end)
		require.Equal(t, o.repeat == ifIdempotent, r.mayRepeat(true), o.end)
		r.sent = NotSent
		require.Equal(t, o.repeat == ifIdempotent, r.mayRepeat(false), o.end)
	}
}
