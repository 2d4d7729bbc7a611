package detector

import (
	"sync"
	"sync/atomic"
	"time"
)

// epoch is the reading of a detector's clock at its first call. It is above
// zero, so that zero can mean never.
const epoch = 1

// A Detector watches one peer. Make it with New. All methods may be called
// concurrently; those that read take no lock, and of those that report only
// one in each probe slot does.
type Detector struct {
	cfg  Config                    // with defaults
	base atomic.Pointer[time.Time] // the time of the first call

	// Times are ns, epoch at base. The silence began at the later of the two.
	since atomic.Int64 // the first unanswered Expect; never if nothing is owed
	proof atomic.Int64 // the last proof of life; 0 before the first
	due   atomic.Int64 // a proof from then on is a sample
	asked atomic.Bool  // Expect was called: silence is what is owed

	timeout atomic.Int64 // the silence at which phi is Config.Threshold
	latch   latch        // the law

	mu     sync.Mutex // protects following
	window *window    // Normal and Exponential
	memory memory     // LossAware
	scale  calibration
	skip   bool // the interval under way is no sample
}

// New returns a detector that has heard nothing yet and trusts the peer, or an
// error that names the field of cfg that makes no sense.
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

// Expect reports that something was sent now that the peer owes an answer for.
// The first since the last proof of life starts the silence; those after it
// change nothing. It is meant to be called for every request and costs a load
// or two.
func (d *Detector) Expect(now time.Time) {
	if d.asked.Load() && d.since.Load() != never {
		return
	}
	at := d.at(now)
	if !d.asked.Load() {
		d.begun()
	}
	d.since.CompareAndSwap(never, at)
}

// begun makes this a detector of what is owed.
func (d *Detector) begun() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked.CompareAndSwap(false, true) {
		d.since.Store(never) // it was the last heartbeat's
		d.publish()          // with the bound of MaxSilence
	}
}

// Heartbeat reports proof of life at now: any answer, even an error. All that
// was owed until now counts as answered. It is meant to be called for every
// answer: between samples it is an atomic store or two.
func (d *Detector) Heartbeat(now time.Time) {
	at := d.at(now)
	if at < d.due.Load() {
		d.answer(at)
		return
	}
	d.sample(at)
}

// answer ends the silence. What was sent after at is still owed.
func (d *Detector) answer(at int64) {
	for {
		p := d.proof.Load()
		if at <= p || d.proof.CompareAndSwap(p, at) {
			break
		}
	}
	rest := int64(never)
	if !d.asked.Load() {
		rest = at
	}
	s := d.since.Load()
	if s <= at || rest != never && s == never {
		d.since.CompareAndSwap(s, rest)
	}
}

// sample ends the silence and learns from the interval that ends with it.
func (d *Detector) sample(at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked.Load()
	if asked && at < d.due.Load() { // another proof of this slot was first
		d.answer(at)
		return
	}
	last, start := d.proof.Load(), d.start()
	d.answer(at)
	if asked {
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
	if slot := int64(d.cfg.FirstInterval); asked && slot > 0 {
		// Time in which nothing was owed says nothing; at most a slot of it
		// counts, and no less than a slot in all.
		interval = max(slot, min(interval-silence, slot)+silence)
	}
	if interval = d.admit(interval, silence); interval > 0 {
		d.learn(min(interval, maxInterval))
		d.publish()
	}
}

// admit returns what is to be learned from an interval: nothing, 0, if it is an
// outage and no part of ordinary life. It must be asked while the law is still
// that of the time before the interval's end: an implementation that moves the
// time stamp first finds no silence, and no outage ever.
func (d *Detector) admit(interval, silence int64) int64 {
	limit, timeout := int64(d.cfg.MaxInterval), d.timeout.Load()
	switch {
	case limit < 0:
		return interval
	case limit > 0 && interval > limit:
		return 0
	case silence < timeout:
		return interval
	case d.cfg.Model == LossAware && d.memory.again():
		return min(interval, timeout) // at least that
	}
	return 0
}

// seed makes two samples of what is expected, as Akka does.
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

// publish makes the law of what was learned and shows it to the readers. The
// caller holds mu.
func (d *Detector) publish() {
	l := law{cfg: &d.cfg, limit: d.maxSilence()}
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

// law returns what was published last.
func (d *Detector) law() law {
	l := law{cfg: &d.cfg, limit: d.maxSilence()}
	l.unpack(d.latch.load())
	return l
}

// maxSilence is Config.MaxSilence without its zero.
func (d *Detector) maxSilence() int64 {
	limit := int64(d.cfg.MaxSilence)
	switch {
	case limit == 0 && d.asked.Load() && d.cfg.FirstInterval > 0:
		return 2*int64(d.cfg.FirstInterval) + int64(d.cfg.AcceptablePause)
	case limit <= 0:
		return never
	}
	return limit
}

// Phi returns the suspicion at now, from 0 without bound. It is 0 if nothing is
// owed. It does not fall while the silence lasts, but for the rounding of its
// last digits.
func (d *Detector) Phi(now time.Time) float64 {
	start := d.start()
	if start == never {
		return 0
	}
	l := d.law()
	return l.phi(max(0, d.at(now)-start))
}

// Suspect reports whether Phi has reached Config.Threshold at now. It compares
// the silence with a published length and computes no logarithm.
func (d *Detector) Suspect(now time.Time) bool {
	// Without a base nothing was ever owed. A time before it counts as the base: the
	// difference could overflow.
	return d.base.Load() != nil && d.at(now)-d.start() >= d.timeout.Load()
}

// Deadline returns the first nanosecond at which Phi is phi or more if nothing
// is heard until then, and the zero Time if nothing is owed or phi is out of
// reach for centuries. A reader that sleeps until then need not poll.
func (d *Detector) Deadline(phi float64) time.Time {
	start := d.start()
	if start == never {
		return time.Time{}
	}
	silence := d.timeout.Load()
	if phi != d.cfg.Threshold {
		l := d.law()
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

// Excuse reports that the fault was ours: this process was paused, the clock
// was suspended. What is owed is owed only since now, and the interval under
// way is no sample. It convicts no peer.
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

// Forget reports that nothing is owed any more: the connection was replaced or
// the peer is known to be gone. Phi is 0 until the next Expect, or the next
// Heartbeat where Expect is not used. What was learned stays, so that a second
// crash is found as fast as the first.
func (d *Detector) Forget(now time.Time) {
	d.at(now)
	d.restart()
	d.since.Store(never)
}

// restart keeps the interval under way out of the window.
func (d *Detector) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skip = true
	d.due.Store(0)
}

// start returns when the silence began, or never if nothing is owed.
func (d *Detector) start() int64 {
	return max(d.since.Load(), d.proof.Load())
}

// at returns now as the detector's clock shows it.
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
