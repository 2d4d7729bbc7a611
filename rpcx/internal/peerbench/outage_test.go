package main

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	st := storm{clients: 2, rate: 20, lead: 100 * time.Millisecond, hold: 300 * time.Millisecond, tail: 200 * time.Millisecond}
	who := crowd()
	survivors, err := st.play(t.Context(), outages[0], who)
	require.NoError(t, err)
	require.Len(t, survivors, len(who))
	for _, s := range survivors {
		require.Positive(t, s.calls, s.name)
		require.LessOrEqual(t, s.failed, s.calls, s.name)
		if s.name == "net/rpc by hand" {
			require.Positive(t, s.dials, "by hand every call dials")
		}
	}
	require.Len(t, outageTable(outages[0], survivors).rows, len(survivors))
	require.Len(t, outageAims(outages[0], survivors), 2)
}

func TestRecovery(t *testing.T) {
	const ms = time.Millisecond
	fault := errors.New("fault")
	var records []record
	for at := 0 * ms; at < 5000*ms; at += 20 * ms {
		r := record{began: at}
		if at >= 1000*ms && at < 3000*ms {
			r.err = fault
		}
		records = append(records, r)
	}
	require.Equal(t, moment{1000 * ms, some}, recovery(records, 2000*ms))
	require.Equal(t, moment{0, some}, recovery(records, 3000*ms))
	require.Equal(t, never, recovery(records[:100], 1000*ms).kind)
}
