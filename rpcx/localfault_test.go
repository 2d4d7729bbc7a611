package rpcx_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx"
)

// pauser stands for the whole process of the client being stopped, as by SIGSTOP: no
// byte arrives, and probers that come by the hook do not run on. The clock does.
type pauser struct {
	*fleet
	mu       sync.Mutex // protects following
	until    time.Time
	verdicts []rpcx.SuspicionInfo
}

// suspicion is the hook. Probers call it from their own goroutines.
func (p *pauser) suspicion(i rpcx.SuspicionInfo) {
	p.mu.Lock()
	p.verdicts = append(p.verdicts, i)
	until := p.until
	p.mu.Unlock()
	time.Sleep(time.Until(until))
}

// seen returns what was reported so far.
func (p *pauser) seen() []rpcx.SuspicionInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.verdicts)
}

// pause stops the process for d from the moment at which it begins to doubt.
func (p *pauser) pause(d time.Duration) {
	p.mu.Lock()
	p.until = time.Now().Add(d)
	p.mu.Unlock()
	for _, a := range p.addrs {
		p.Stall(a)
	}
	time.Sleep(d + time.Millisecond) // the probers judge before they see an answer
	for _, a := range p.addrs {
		p.Resume(a)
	}
}

// After a pause every peer seems to have been silent, and none was (Lifeguard:
// Dadgar, Phillips and Currey, 2017).
func TestPauseOfOurOwnIsReportedAsSuch(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		p := &pauser{fleet: f}
		f.dialer.Trace = &rpcx.ClientTrace{Suspicion: p.suspicion}
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Minute)
		require.Empty(t, p.seen())
		slow := c.Go("Bank.Sleep", 2*time.Minute, new(string), nil)
		p.pause(30 * time.Second)
		time.Sleep(30 * time.Second)
		faults := 0
		for _, v := range p.seen() {
			require.NotContains(t, []rpcx.Verdict{rpcx.Convicted, rpcx.Spared}, v.Verdict)
			if v.Verdict == rpcx.LocalFault {
				require.Equal(t, detector.Paused, v.Fault)
				require.GreaterOrEqual(t, v.Phi, 1.0)
				faults++
			}
		}
		require.Equal(t, 2, faults, "%v", p.seen())
		require.NoError(t, (<-slow.Done).Error, "it was not cut")
		for _, e := range c.Stats().Endpoints {
			require.Equal(t, breaker.Closed, e.State)
		}
	})
}
