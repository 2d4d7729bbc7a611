package breaker

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Config describes a breaker. The zero Config is the recommended one.
type Config struct {
	// Window is the time over which calls are counted, in ten slices. It should
	// be at least twice the longest duration of a call. 0 means 10 s; at least 1 ms.
	Window time.Duration

	// FailureRatio is the share of failed calls in Window at which the breaker
	// opens, up to 1. 0 means 0.5; negative disables the rule.
	FailureRatio float64

	// MinCalls is the number of calls that must have ended within Window before
	// FailureRatio and SlowRatio apply. 0 means 20.
	MinCalls int

	// ConsecutiveFailures is the number of failures in a row at which the breaker
	// opens, if no call succeeded in the current or the previous slice of Window.
	// The failures may be further apart than Window, so the rule also works with
	// little traffic or slow failures. 0 means 5; negative disables the rule.
	ConsecutiveFailures int

	// FailuresInWindow is the number of failures within Window at which the
	// breaker opens, however many calls succeeded. 0 or negative disables the
	// rule: a fixed number does not scale with load.
	FailuresInWindow int

	// SlowCall is the duration from which a call is slow. The breaker opens when
	// the share of slow calls in Window reaches SlowRatio, after MinCalls calls.
	// A slow probe counts as failed. 0 or negative disables the rule.
	SlowCall time.Duration

	// SlowRatio is the share of slow calls in Window at which the breaker opens,
	// up to 1. 0 means 0.5. It has no effect without SlowCall.
	SlowRatio float64

	// OpenFor is the first open interval. It doubles each time the breaker opens
	// again, up to MaxOpenFor, until a call succeeds at least Window after the
	// breaker closed. Half of an interval is fixed and half is random ("equal
	// jitter"). 0 means 1 s.
	OpenFor time.Duration

	// MaxOpenFor bounds the open interval, and so the delay before a recovered
	// endpoint is used again. A short one costs little: one probe per interval.
	// 0 means 5 s, or OpenFor if that is longer.
	MaxOpenFor time.Duration

	// Probes is the number of calls that a half-open breaker admits. All must
	// succeed for it to close. From 1 to 255; 0 means 1.
	Probes int

	// ProbeTimeout is how long probes may keep their permits. When all permits
	// are taken and the last was granted this long ago, they are void and new
	// ones are granted. Set it to the timeout of a probe. 0 means 5 s; from 1 µs
	// to a year.
	ProbeTimeout time.Duration

	// Disabled makes Disabled the first state.
	Disabled bool

	// Classify returns the outcome for the error of a function that Do has run. It
	// may be called concurrently. Nil means: no error is Success, context.Canceled
	// is Ignored, any other error is Failure.
	Classify func(error) Outcome

	// OnChange is called for every change of state, in order and not concurrently,
	// without a lock held. It runs in the goroutine that caused or found the
	// change, or in one that is running OnChange already. It may call any method of
	// the breaker; events that this causes follow after it returns. If it panics,
	// the panic reaches the caller of that method, and the breaker stays usable.
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

// validate returns an error for the first invalid field of a Config with defaults.
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
		return invalid("ProbeTimeout", c.ProbeTimeout, "a value from 1µs to a year; without it the breaker would wait for a lost probe for ever")
	}
	return nil
}

func invalid(field string, value any, want string) error {
	return &fieldError{"Config", field, value, want}
}

// A fieldError reports an invalid field of a configuration.
type fieldError struct {
	config, field string
	value         any
	want          string
}

func (e *fieldError) Error() string { return "breaker: " + e.In(e.config) }

// In returns the error's text with another name for the configuration.
func (e *fieldError) In(config string) string {
	return fmt.Sprintf("%s.%s is %v; want %s", config, e.field, e.value, e.want)
}

// interval returns the length of an open interval: OpenFor doubled level times, up
// to MaxOpenFor, with jitter.
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
	if !(r >= 0 && r < 1) { // the caller's Rand may be wrong
		r = 0
	}
	half := d / 2
	return d - half + time.Duration(r*float64(half))
}
