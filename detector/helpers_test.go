package detector_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/detector"
)

// start is the moment at which virtual time begins.
var start = time.Date(2004, time.April, 3, 0, 0, 0, 0, time.UTC)

func newDetector(tb testing.TB, cfg detector.Config) *detector.Detector {
	tb.Helper()
	d, err := detector.New(cfg)
	require.NoError(tb, err)
	return d
}

// regular returns a detector that has seen n intervals of the given length
// from start.
func regular(tb testing.TB, cfg detector.Config, n int, interval time.Duration) *detector.Detector {
	tb.Helper()
	d := newDetector(tb, cfg)
	for i := range n + 1 {
		d.Heartbeat(start.Add(time.Duration(i) * interval))
	}
	return d
}
