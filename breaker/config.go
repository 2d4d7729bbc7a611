package breaker

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Config describes a breaker. The zero Config is the recommended one. A
// negative value switches a single rule off.
type Config struct {
	// Window is how far back the counting rules look, in ten slices. Choose
	// at least twice the time a call may take. 0 means 10 s; at least 1 ms.
	Window time.Duration

	// FailureRatio is the share of failed calls in Window, over 0 up to 1,
	// at which the breaker opens. 0 means 0.5; negative switches the rule off.
	FailureRatio float64

	// MinCalls is how many calls must have ended within Window before
	// FailureRatio and SlowRatio are judged. 0 means 20.
	MinCalls int

	// ConsecutiveFailures is how many calls must have failed in a row, with no
	// success in the current and the previous slice of Window, for the breaker
	// to open. The run is not bounded by Window, so that low traffic and slow
	// failures count. 0 means 5; negative switches the rule off.
	ConsecutiveFailures int

	// FailuresInWindow opens the breaker when so many calls failed within
	// Window, whatever succeeded beside them. 0 or negative means off, since
	// a fixed number does not scale with load.
	FailuresInWindow int

	// SlowCall is the duration from which a call is slow. The breaker opens
	// when SlowRatio of at least MinCalls calls in Window were slow, and a slow
	// probe counts as failed. 0 or negative means off.
	SlowCall time.Duration

	// SlowRatio is the share of slow calls, over 0 up to 1, at which the
	// breaker opens. 0 means 0.5. It has no meaning without SlowCall.
	SlowRatio float64

	// OpenFor is the first open interval. Each time the breaker opens without
	// having proved itself in between, the interval doubles, up to MaxOpenFor.
	// Half of it is fixed and half is random ("equal jitter"). 0 means 1 s.
	OpenFor time.Duration

	// MaxOpenFor bounds the open interval. It decides how soon a recovered
	// endpoint is used again, so keep it short: one probe per interval is
	// hardly load. 0 means 5 s, or OpenFor if that is longer.
	MaxOpenFor time.Duration

	// Probes is how many calls a half-open breaker lets in, and how many must
	// succeed for it to close; from 1 to 255. 0 means 1.
	Probes int

	// ProbeTimeout is how long probes may keep their permits: when all are
	// taken and the last was granted that long ago, a new round begins and
	// results of the old one no longer count. Set it to the timeout of the
	// call that probes. 0 means 5 s; at most a year.
	ProbeTimeout time.Duration

	// Disabled starts the breaker in state Disabled.
	Disabled bool

	// Classify judges the error of a function run by Do. It may be called
	// concurrently. Nil means: no error is Success, context.Canceled is
	// Ignored, any other error is Failure.
	Classify func(error) Outcome

	// OnChange is called at every change of state, in order, one at a time, with
	// no lock held, by the goroutine whose method call made or noticed it or by
	// one that is already delivering. It may call any method of the breaker;
	// events of changes it makes are delivered after it returns. Its panics
	// reach the caller of that method and leave the breaker sound.
	OnChange func(Event)

	// Rand returns a number in [0, 1) for the jitter. It may be called
	// concurrently. Nil means math/rand/v2.Float64.
	Rand func() float64
}

// withDefaults returns c with zero fields replaced by their defaults.
func (c Config) withDefaults() Config {
	setDefault(&c.Window, 10*time.Second)
	setDefault(&c.FailureRatio, 0.5)
	setDefault(&c.MinCalls, 20)
	setDefault(&c.ConsecutiveFailures, 5)
	setDefault(&c.SlowRatio, 0.5)
	setDefault(&c.OpenFor, time.Second)
	setDefault(&c.MaxOpenFor, max(5*time.Second, c.OpenFor))
	setDefault(&c.Probes, 1)
	setDefault(&c.ProbeTimeout, 5*time.Second)
	if c.Classify == nil {
		c.Classify = classify
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return c
}

func setDefault[T int | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// validate reports the first field of a Config with defaults that makes no
// sense.
func (c Config) validate() error {
	switch {
	case c.Window < time.Millisecond:
		return invalid("Window", c.Window, "at least 1ms")
	case !(c.FailureRatio <= 1): // written so that NaN fails
		return invalid("FailureRatio", c.FailureRatio, "a value from 0 to 1, or negative for off")
	case c.MinCalls < 1:
		return invalid("MinCalls", c.MinCalls, "1 or more; a negative FailureRatio switches the rule off")
	case c.SlowRatio < 0 || !(c.SlowRatio <= 1):
		return invalid("SlowRatio", c.SlowRatio, "a value from 0 to 1; SlowCall 0 switches the rule off")
	case c.OpenFor < 0:
		return invalid("OpenFor", c.OpenFor, "a positive duration, or Disabled for no breaker")
	case c.MaxOpenFor < c.OpenFor:
		return invalid("MaxOpenFor", c.MaxOpenFor, fmt.Sprintf("at least OpenFor (%v)", c.OpenFor))
	case c.Probes < 1 || c.Probes > maxProbes:
		return invalid("Probes", c.Probes, fmt.Sprintf("a value from 1 to %d", maxProbes))
	case c.ProbeTimeout < time.Microsecond || c.ProbeTimeout > maxProbeTimeout:
		return invalid("ProbeTimeout", c.ProbeTimeout, "a value from 1µs to a year; without it a lost probe would wedge the breaker")
	}
	return nil
}

func invalid(field string, value any, want string) error {
	return &fieldError{"Config", field, value, want}
}

// fieldError is a field of a configuration that makes no sense.
type fieldError struct {
	config, field string
	value         any
	want          string
}

func (e *fieldError) Error() string { return "breaker: " + e.In(e.config) }

// In returns the text for a configuration that its user knows by another name.
func (e *fieldError) In(config string) string {
	return fmt.Sprintf("%s.%s is %v; want %s", config, e.field, e.value, e.want)
}

// interval returns the open interval after level openings without proof of
// recovery.
func (c *Config) interval(level int) time.Duration {
	d := c.OpenFor
	for ; level > 0 && d < c.MaxOpenFor; level-- {
		if d > c.MaxOpenFor/2 {
			d = c.MaxOpenFor
			break
		}
		d *= 2
	}
	r := c.Rand()
	if !(r >= 0 && r < 1) { // a foreign Rand must not break the bounds
		r = 0
	}
	half := d / 2
	return d - half + time.Duration(r*float64(half))
}
