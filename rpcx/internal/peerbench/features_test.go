package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The answers to which a promise of rpcx, or the nature of net/rpc, is known.
func TestProbes(t *testing.T) {
	lim := limits{freeze: 10 * time.Second, redial: 10 * time.Second}
	for name, p := range map[string]struct {
		probe
		ours, plain string
	}{
		"deadline": {probeDeadline, "yes", "no"},
		"redial":   {probeRedial, "yes", ""}, // that net/rpc does not takes the whole limit
		"repeat":   {probeRepeat, "no", "no"},
		"poison":   {probePoison, "no", "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.probe(t.Context(), find("rpcx"), lim)
			require.NoError(t, err)
			require.Equal(t, p.ours, got)
			if p.plain == "" {
				return
			}
			got, err = p.probe(t.Context(), find(baseline), lim)
			require.NoError(t, err)
			require.Equal(t, p.plain, got)
		})
	}
}

func TestFreezeIsFound(t *testing.T) {
	got, err := probeFreeze(t.Context(), find("rpcx"), limits{freeze: 30 * time.Second})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(got, "yes"), got)
	got, err = probeFreeze(t.Context(), find(baseline), limits{freeze: 100 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, "not in 100ms", got)
}

// Every question has an answer or a probe for every contender.
func TestQuestions(t *testing.T) {
	for _, q := range questions {
		for i, a := range q.answers {
			require.True(t, a != "" || q.probe != nil, "%s %s", q.text, columns[i].head)
		}
	}
	require.Panics(t, func() { find("nobody") })
	for _, c := range columns {
		require.Equal(t, c.contender, find(c.contender).name)
	}
}

func TestTable(t *testing.T) {
	tab := &table{title: "title", head: []string{"", "x"}}
	tab.add("row", "1")
	tab.note("%d: why", 1)
	var out bytes.Buffer
	tab.print(&out)
	require.Equal(t, "\ntitle\n\n       x\n  row  1\n  * 1: why\n", out.String())
}
