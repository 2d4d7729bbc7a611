package main

import (
	"io"
	"testing"
)

// TestCalibration holds the loss-aware model to its promise on a seed that no
// setting was chosen by.
func TestCalibration(t *testing.T) {
	t.Parallel()
	lossAware, normal := calibration(io.Discard, 77, 40_000)
	if lossAware < 9 {
		t.Errorf("kept its promise on %d of %d workloads, want 9", lossAware, len(workloads))
	}
	if normal >= lossAware {
		t.Errorf("the normal model kept it on %d workloads, the loss-aware one on %d", normal, lossAware)
	}
}
