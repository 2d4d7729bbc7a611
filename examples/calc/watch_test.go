package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// In each tick of a tenth of the outage the client picks the replica or not, and
// waits for it or not.
func TestRoutedAround(t *testing.T) {
	for _, c := range []struct {
		name  string
		picks string // one letter a tick: p picks, w waits, . leaves it alone
		want  int    // ticks; -1 is never
	}{
		{"left alone at once", "..........", 0},
		{"one failed call", "p.........", 1},
		{"waits until convicted", "pwww......", 4},
		{"comes back once", "p...p.....", 5},
		{"quiet for the last quarter", "ppppppp...", 7},
		{"quiet for less", "pppppppp..", -1},
		{"never stops picking", "pppppppppp", -1},
		{"picks now and then", "p..p..p..p", -1},
		{"never stops waiting", "pwwwwwwwww", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := usageOf{addr: "a", picks: 7}
			w := newWatch(func() []usageOf { return []usageOf{{addr: "b", picks: 1, inFlight: 1}, u} })
			began := time.Unix(0, 0)
			w.begin("a", began)
			now := began
			for _, does := range c.picks {
				now = now.Add(time.Second)
				u.inFlight = 0
				switch does {
				case 'p':
					u.picks++
				case 'w':
					u.inFlight = 1
				}
				w.look(now)
			}
			require.Equal(t, c.want >= 0, w.leftAlone("a", now))
			w.end("a", now)
			u.picks++ // no longer to be blamed
			w.look(now.Add(time.Second))
			w.end("a", now.Add(time.Minute))

			took, ok := w.routed("a")
			require.Equal(t, c.want >= 0, ok)
			if ok {
				require.Equal(t, time.Duration(c.want)*time.Second+watchPeriod, took)
			}
			_, ok = w.routed("b")
			require.False(t, ok)
			require.False(t, w.leftAlone("b", now))
		})
	}
}
