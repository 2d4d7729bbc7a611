package main

import (
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"resilientrpc/detector"
)

func TestLocalPauseConvictsNobody(t *testing.T) {
	t.Parallel()
	if n := scenarios(io.Discard, 77); n != 0 {
		t.Errorf("%d live peers convicted for pauses of our own", n)
	}
	source := rand.New(rand.NewPCG(1, 1))
	if n := localPause(source, detector.Config{}, 20, 5*time.Second, false); n != 20 {
		t.Errorf("without the guard %d of 20 peers were convicted: the pause is no test of it", n)
	}
}
