package breaker_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// fuzzConfigs have short windows and low limits, so that few steps reach far.
var fuzzConfigs = []breaker.Config{
	{FailureRatio: 0.5, MinCalls: 6, ConsecutiveFailures: 3, Probes: 1},
	{FailureRatio: 0.7, MinCalls: 4, ConsecutiveFailures: -1, Probes: 3, FailuresInWindow: 8},
	{FailureRatio: -1, MinCalls: 5, ConsecutiveFailures: 4, Probes: 2, SlowCall: 30 * time.Millisecond, SlowRatio: 0.6},
	{FailureRatio: -1, MinCalls: 1, ConsecutiveFailures: -1, Probes: 1, FailuresInWindow: 3},
}

const longestTrip = 450 * time.Millisecond

func fuzzConfig(i byte) breaker.Config {
	cfg := fuzzConfigs[int(i)%len(fuzzConfigs)]
	cfg.Window = 200 * time.Millisecond
	cfg.OpenFor = 100 * time.Millisecond
	cfg.MaxOpenFor = 300 * time.Millisecond
	cfg.ProbeTimeout = 80 * time.Millisecond
	if cfg.SlowRatio == 0 {
		cfg.SlowRatio = 1
	}
	cfg.Disabled = i >= 128
	return cfg
}

// FuzzModel makes a breaker and its model take the same steps and compares
// everything that can be seen after each.
func FuzzModel(f *testing.F) {
	for i := range fuzzConfigs {
		f.Add(byte(i), []byte{0, 2, 0, 2, 0, 2, 5, 5, 5, 5, 5, 5, 0, 1})
		for seed := range uint64(25) {
			rng := rand.New(rand.NewPCG(uint64(i), seed))
			steps := make([]byte, 400)
			for j := range steps {
				steps[j] = byte(rng.Uint32())
			}
			f.Add(byte(i), steps)
		}
	}
	f.Fuzz(func(t *testing.T, config byte, steps []byte) {
		if len(steps) > 2000 {
			return
		}
		p := newPair(t, fuzzConfig(config))
		for _, s := range steps {
			p.step(int(s%16), int(s/16))
			p.compare()
		}
		p.recovers()
	})
}

// A pair is a breaker and its model at the same moment.
type pair struct {
	*rig
	m       *model
	told    int // events compared
	ranBack bool
	permits []breaker.Permit // outstanding and done; parallel to twins
	twins   []modelPermit
}

func newPair(t *testing.T, cfg breaker.Config) *pair {
	m := &model{cfg: cfg}
	if cfg.Disabled {
		m.state = breaker.Disabled
	}
	return &pair{rig: newRig(t, cfg), m: m}
}

func (p *pair) pass(d time.Duration) {
	p.rig.pass(d)
	p.m.now += d
}

// step does one thing; arg is from 0 to 15.
func (p *pair) step(op, arg int) {
	ms := time.Duration(arg) * time.Millisecond
	switch op {
	case 0, 1, 2:
		p.allow()
	case 3, 4:
		p.done(arg, breaker.Success)
	case 5, 6, 7:
		p.done(arg, breaker.Failure)
	case 8:
		before := p.m.stats()
		p.done(arg, breaker.Ignored)
		if before.State == breaker.Closed {
			require.Equal(p.t, before, p.m.stats(), "Ignored changes nothing")
		}
	case 9, 10:
		p.pass(ms)
	case 11:
		p.pass(20 * ms)
	case 12:
		if arg >= 12 {
			ms *= 25 // beyond the window
		}
		p.pass(-ms)
		p.ranBack = p.ranBack || arg > 0
	case 13:
		for range arg { // traffic
			p.allow()
			p.done(0, breaker.Outcome(arg%2))
			p.pass(5 * time.Millisecond)
		}
	case 14:
		d := longestTrip * time.Duration(arg%4) / 3
		p.Trip(p.now, d, nil)
		p.m.trip(d)
	case 15:
		switch arg {
		case 0, 1:
			p.ForceOpen(p.now, nil)
			p.m.set(breaker.ForcedOpen)
		case 2, 3, 4:
			p.Reset(p.now)
			p.m.set(breaker.Closed)
		case 5, 6, 7:
			d := time.Duration(arg-6) * 40 * time.Millisecond
			p.Hasten(p.now, d)
			p.m.hasten(d)
		default:
			p.pass(p.Stats(p.now).RetryAfter) // to the moment it may change
		}
	}
}

func (p *pair) allow() {
	ready := p.Ready(p.now)
	require.Equal(p.t, p.m.ready(), ready)
	want := p.m.retryAfter()
	permit, err := p.Allow(p.now)
	twin, ok := p.m.allow()
	require.Equal(p.t, ok, err == nil)
	require.Equal(p.t, ready, ok, "Ready tells what Allow does")
	if ok {
		p.permits, p.twins = append(p.permits, permit), append(p.twins, twin)
		return
	}
	var open *breaker.OpenError
	require.True(p.t, errors.As(err, &open))
	require.Equal(p.t, p.m.state, open.State)
	require.GreaterOrEqual(p.t, open.RetryAfter, want, "never too short")
	require.LessOrEqual(p.t, open.RetryAfter-want, open.RetryAfter/256)
}

// done ends the call that was begun as the arg-th before the last.
func (p *pair) done(arg int, o breaker.Outcome) {
	i := len(p.permits) - 1 - arg
	if i < 0 {
		return
	}
	p.permits[i].Done(p.now, o, nil)
	p.m.done(&p.twins[i], o)
}

func (p *pair) compare() {
	got := p.Stats(p.now)
	want := p.m.stats()
	require.Equal(p.t, p.m.caused, got.Cause != nil)
	got.Cause = nil
	require.Equal(p.t, want, got)
	require.LessOrEqual(p.t, got.Probes, p.m.cfg.Probes)
	require.Len(p.t, p.events, len(p.m.path), "one event for each transition")
	for ; p.told < len(p.events); p.told++ {
		e := p.events[p.told]
		require.Equal(p.t, p.m.path[p.told], e.To)
		require.EqualValues(p.t, p.told+1, e.Seq)
		require.NotEqual(p.t, e.From, e.To)
	}
}

// recovers checks that the breaker admits a call after some time, unless it is ForcedOpen.
func (p *pair) recovers() {
	if p.m.state == breaker.ForcedOpen {
		return
	}
	for range 2 { // out of this state, and then past the probes that were let in
		wait := p.Stats(p.now).RetryAfter
		if !p.ranBack {
			require.LessOrEqual(p.t, wait, max(p.m.cfg.MaxOpenFor, longestTrip))
		}
		p.pass(wait + max(0, p.m.start-p.m.now)) // time that ran back has to catch up
		require.True(p.t, p.Ready(p.now))
		for range p.m.cfg.Probes {
			p.allow()
		}
	}
}
