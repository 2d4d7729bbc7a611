package peerclock

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var start = time.Unix(1e9, 0)

func at(d time.Duration) time.Time { return start.Add(d) }

// Until the server has said anything, a deadline is the time that is left for the first request.
func TestFirstRequest(t *testing.T) {
	var c Clock
	c.Begin(at(0))
	require.Equal(t, 2*time.Second+2*time.Millisecond, c.Deadline(at(2*time.Second)))
	c.Begin(at(time.Second))
	require.Equal(t, 2*time.Second+2*time.Millisecond, c.Deadline(at(2*time.Second)), "the first one counts")
	require.Equal(t, time.Microsecond, c.Deadline(at(-time.Hour)))
}

// A deadline for which there is no time.Duration does not become an early one.
func TestDeadlineThatIsTooFarAway(t *testing.T) {
	var c Clock
	c.Begin(at(0))
	for _, clock := range []time.Duration{0, time.Millisecond, time.Hour} {
		c.Observe(at(time.Minute), clock)
		for _, far := range []time.Time{at(math.MaxInt64), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0)} {
			require.Greater(t, c.Deadline(far), time.Duration(math.MaxInt64/2))
		}
		require.Equal(t, time.Microsecond, c.Deadline(time.Unix(-1<<60, 0)))
	}
}

// If the server was stopped as the first request came, its time is behind; the first reply
// that was not delayed shows that.
func TestServerIsBehind(t *testing.T) {
	var c Clock
	c.Begin(at(0)) // is read at 5 s
	c.Observe(at(time.Second), 0)
	c.Observe(at(time.Second), 3*time.Millisecond) // was read at 5.003 s
	c.Observe(at(6*time.Second), time.Second+time.Millisecond)
	require.Equal(t, 2*time.Second+2*time.Millisecond, c.Deadline(at(7*time.Second)), "1 ms under way, 1 ms for the clocks")
	c.Observe(at(6100*time.Millisecond), 3*time.Second) // delayed
	require.Equal(t, 2*time.Second+2*time.Millisecond, c.Deadline(at(7*time.Second)))
}

// Whatever the network does, and the clocks within bounds, no deadline is too early; and with
// replies that come in time none is much too late.
func TestNeverTooEarly(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		rate := 1 + (rnd.Float64()-0.5)*2*0.0009 // of the server's clock
		delay := func() time.Duration {
			if rnd.IntN(10) == 0 {
				return time.Duration(rnd.Int64N(int64(5 * time.Second)))
			}
			return time.Duration(rnd.Int64N(int64(time.Millisecond)))
		}
		var c Clock
		c.Begin(at(0))
		read := delay() // the first request, by our clock
		server := func(ours time.Duration) time.Duration {
			return time.Duration(float64(ours-read) * rate)
		}
		for now := read; now < time.Hour; now += time.Duration(rnd.Int64N(int64(20 * time.Second))) {
			deadline := now + time.Duration(rnd.Int64N(int64(10*time.Second)))
			sent := c.Deadline(at(deadline))
			if late := sent - server(deadline); late < 0 || late >= 500*time.Millisecond && now > 10*time.Minute {
				t.Fatalf("seed %d: at %v a deadline is late by %v", seed, now, late)
			}
			c.Observe(at(now), server(now+delay()))
		}
	}
}
