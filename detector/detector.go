package detector

import (
	"sync"
	"sync/atomic"
	"time"
)

// epoch is the detector's time at its first call. It is not 0, because 0 means that
// there is no time.
const epoch = 1

// A Detector watches one peer. Make it with New. All methods may be called
// concurrently. Phi, Suspect, Deadline and Stats take no lock. The first Expect takes one,
// and about one Heartbeat in each half of a probe slot; without Expect, or without
// Config.FirstInterval, each Heartbeat takes one.
type Detector struct {
	cfg  Config                    // with defaults
	base atomic.Pointer[time.Time] // the time of the first call

	// Times are in ns; epoch is the time base. A silence begins at the later of since
	// and proof.
	since   atomic.Int64 // the first unanswered Expect; never if no answer is owed
	proof   atomic.Int64 // the last proof of life; 0 before the first
	due     atomic.Int64 // when the probe slot ends: the next proof of life ends an interval
	expects atomic.Bool  // Expect has been called

	timeout atomic.Int64 // the silence at which phi is Config.Threshold
	latch   latch        // holds the distribution

	mu     sync.Mutex // protects following
	window *window    // Normal and Exponential
	memory memory     // LossAware
	scale  calibration
	skip   bool // the current interval is not learned
}

// New returns a detector for a peer that owes no answer and has sent nothing yet. The
// error names the invalid field.
func New(cfg Config) (*Detector, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	d := &Detector{cfg: cfg, skip: true}
	d.since.Store(never)
	if cfg.Model == LossAware {
		d.memory.size = float64(cfg.WindowSize)
		d.scale = uncalibrated()
	} else {
		d.window = &window{size: cfg.WindowSize}
	}
	if first := int64(cfg.FirstInterval); first > 0 {
		d.seed(first)
	}
	d.publish()
	return d, nil
}

// Expect reports that a request was sent at now: the peer owes an answer. The first
// Expect after a proof of life begins a silence. Call Expect for every request; while an
// answer is owed it costs two atomic loads.
func (d *Detector) Expect(now time.Time) {
	if d.expects.Load() && d.since.Load() != never {
		return
	}
	at := d.at(now)
	if !d.expects.Load() {
		d.firstExpect()
	}
	d.since.CompareAndSwap(never, at)
}

// firstExpect ends the mode of unprompted heartbeats.
func (d *Detector) firstExpect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.expects.CompareAndSwap(false, true) {
		d.since.Store(never) // was the time of the last heartbeat
		d.publish()          // because MaxSilence now has another default
	}
}

// Heartbeat reports proof of life at now: any answer, even an error. It answers every
// earlier Expect. Call Heartbeat for every answer; mostly it costs a few atomic operations.
func (d *Detector) Heartbeat(now time.Time) {
	at := d.at(now)
	if at < d.due.Load() {
		d.answer(at)
		return
	}
	d.sample(at)
}

// answer ends the silence. A request sent after at is still owed an answer.
func (d *Detector) answer(at int64) {
	for {
		p := d.proof.Load()
		if at <= p || d.proof.CompareAndSwap(p, at) {
			break
		}
	}
	rest := int64(never)
	if !d.expects.Load() {
		rest = at
	}
	s := d.since.Load()
	if s <= at || rest != never && s == never {
		d.since.CompareAndSwap(s, rest)
	}
}

// sample ends the silence and learns the interval that ends at the same time.
func (d *Detector) sample(at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	expects := d.expects.Load()
	if expects && at < d.due.Load() { // another goroutine has learned the interval
		d.answer(at)
		return
	}
	last, start := d.proof.Load(), d.start()
	d.answer(at)
	if expects {
		d.due.Store(at + int64(d.cfg.FirstInterval)/2)
	}
	skip := d.skip
	d.skip = false
	if skip || at <= last {
		return
	}
	silence, interval := int64(0), at-last
	if start < at {
		silence = at - start
	}
	if slot := int64(d.cfg.FirstInterval); expects && slot > 0 {
		// The time in which no answer was owed is no evidence: at most a slot of it
		// counts. An interval is a slot at least.
		interval = max(slot, min(interval-silence, slot)+silence)
	}
	if interval = d.admit(interval, silence); interval > 0 {
		d.learn(min(interval, maxInterval))
		d.publish()
	}
}

// admit returns the length to learn of an interval, or 0 if it is not to be learned. It
// must be called before the distribution and the timeout change: they decide whether the
// interval is an outage.
func (d *Detector) admit(interval, silence int64) int64 {
	limit, timeout := int64(d.cfg.MaxInterval), d.timeout.Load()
	switch {
	case limit < 0:
		return interval
	case limit > 0 && interval > limit:
		return 0
	case silence < timeout:
		return interval
	case d.cfg.Model == LossAware && d.memory.recordOutage():
		return min(interval, timeout)
	}
	return 0
}

// seed adds two intervals around the expected one, as Akka does.
func (d *Detector) seed(first int64) {
	if d.cfg.Model == LossAware {
		d.memory.seed(first)
		return
	}
	d.window.add(first - first/4)
	d.window.add(first + first/4)
}

func (d *Detector) learn(interval int64) {
	if d.cfg.Model != LossAware {
		d.window.add(interval)
		return
	}
	if d.memory.n > 0 {
		x := d.memory.mixture(float64(d.cfg.MinStdDev))
		d.scale.learn(x.phi(float64(interval)))
	}
	d.memory.add(interval)
}

// publish computes the distribution and stores it for the readers. The caller holds mu.
func (d *Detector) publish() {
	l := distribution{cfg: &d.cfg, limit: d.maxSilence()}
	if d.cfg.Model == LossAware {
		l.n = int(d.memory.n)
		l.mix = d.memory.mixture(float64(d.cfg.MinStdDev))
		l.scale = d.scale
	} else {
		l.n = len(d.window.ring)
		l.whole, l.frac = d.window.mean()
		l.sd = max(d.window.stdDev(), float64(d.cfg.MinStdDev))
	}
	d.latch.store(l.pack())
	d.timeout.Store(l.when(d.cfg.Threshold, d.timeout.Load()))
}

// distribution returns the published distribution.
func (d *Detector) distribution() distribution {
	l := distribution{cfg: &d.cfg, limit: d.maxSilence()}
	l.unpack(d.latch.load())
	return l
}

// maxSilence returns Config.MaxSilence with its default, or never.
func (d *Detector) maxSilence() int64 {
	limit := int64(d.cfg.MaxSilence)
	switch {
	case limit == 0 && d.expects.Load() && d.cfg.FirstInterval > 0:
		return 2*int64(d.cfg.FirstInterval) + int64(d.cfg.AcceptablePause)
	case limit <= 0:
		return never
	}
	return limit
}

// Phi returns the suspicion at now: 0 or more, and 0 if no answer is owed. It does not
// fall during a silence, except for rounding.
func (d *Detector) Phi(now time.Time) float64 {
	start := d.start()
	if start == never {
		return 0
	}
	l := d.distribution()
	return l.phi(max(0, d.at(now)-start))
}

// Suspect reports whether Phi has reached Config.Threshold at now. It is faster than
// Phi: it compares the silence with a precomputed length.
func (d *Detector) Suspect(now time.Time) bool {
	// Without a base, no answer has been owed. at returns no time before the base, so
	// the difference does not overflow.
	return d.base.Load() != nil && d.at(now)-d.start() >= d.timeout.Load()
}

// Deadline returns the time at which Phi reaches phi if there is no proof of life until
// then. It is exact to the nanosecond, so a caller can sleep until then and need not
// poll. It returns the zero Time if no answer is owed, or if Phi would take centuries.
func (d *Detector) Deadline(phi float64) time.Time {
	start := d.start()
	if start == never {
		return time.Time{}
	}
	silence := d.timeout.Load()
	if phi != d.cfg.Threshold {
		l := d.distribution()
		if mean, _ := l.middle(); phi < d.cfg.Threshold/2 {
			silence = int64(mean) + int64(d.cfg.AcceptablePause)
		}
		silence = l.when(phi, silence)
	}
	if silence >= never-start {
		return time.Time{}
	}
	return d.time(start + silence)
}

// Excuse reports that this process, and not the peer, may be the cause of the silence:
// the process was paused, or the machine suspended. A silence begins again at now, and
// the current interval is not learned.
func (d *Detector) Excuse(now time.Time) {
	at := d.at(now)
	d.restart()
	for {
		s := d.since.Load()
		if s == never || s >= at || d.since.CompareAndSwap(s, at) {
			return
		}
	}
}

// Forget reports that no answer is owed any more: the connection was replaced, or the
// peer is known to be down. Phi is 0 until the next Expect or, without Expect, the next
// Heartbeat. The learned intervals remain.
func (d *Detector) Forget(now time.Time) {
	d.at(now)
	d.restart()
	d.since.Store(never)
}

// restart begins a new interval and discards the current one.
func (d *Detector) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skip = true
	d.due.Store(0)
}

// start returns when the silence began, or never if no answer is owed.
func (d *Detector) start() int64 {
	return max(d.since.Load(), d.proof.Load())
}

// at converts now to the detector's time.
func (d *Detector) at(now time.Time) int64 {
	base := d.base.Load()
	if base == nil {
		base = d.begin(now)
	}
	return max(0, int64(now.Sub(*base))) + epoch
}

func (d *Detector) begin(now time.Time) *time.Time {
	d.base.CompareAndSwap(nil, &now)
	return d.base.Load()
}

// time is the inverse of at.
func (d *Detector) time(at int64) time.Time {
	return d.base.Load().Add(time.Duration(at - epoch))
}
