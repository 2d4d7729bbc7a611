package rpcx_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
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

// A process that is paused again and again, because it has too little processor time or, as
// here, a slow hook, finds a frozen server later, but does find it.
func TestPausesDoNotExcuseASilenceForEver(t *testing.T) {
	t.Parallel()
	for detection, pause := range map[time.Duration]time.Duration{
		500 * time.Millisecond: 100 * time.Millisecond, time.Second: 300 * time.Millisecond,
	} {
		t.Run(detection.String(), func(t *testing.T) {
			inFleet(t, 2, func(t *testing.T, f *fleet) {
				var excuses atomic.Int64
				f.dialer.DetectionTime = detection
				f.dialer.Trace = &rpcx.ClientTrace{Suspicion: func(i rpcx.SuspicionInfo) {
					if i.Verdict == rpcx.LocalFault {
						excuses.Add(1)
					}
					time.Sleep(pause)
				}}
				f.dialer.Balancer = balancer.RoundRobin()
				c := f.dial()
				defer c.Close()
				time.Sleep(10 * time.Second)
				f.Stall("a:1")
				began := time.Now()
				for range 2 { // one of them at each endpoint
					c.Go("Bank.Where", struct{}{}, new(string), nil)
				}
				for c.Stats().InFlight > 0 {
					time.Sleep(100 * time.Millisecond)
					require.Less(t, time.Since(began), 20*time.Second)
				}
				t.Logf("convicted after %v, excused %d times", time.Since(began), excuses.Load())
				require.Greater(t, excuses.Load(), int64(1))
			})
		})
	}
}
