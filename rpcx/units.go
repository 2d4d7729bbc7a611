package rpcx

import (
	"fmt"
	"time"
)

const (
	// leastBound is below what bounds a dial or a call over a network. leastSetting is
	// below what any duration is that has a unit.
	leastBound   = time.Millisecond
	leastSetting = time.Microsecond
)

// checkUnit returns an error for a duration that is positive, and so short that the unit
// is missing.
func checkUnit(field string, value, least time.Duration) error {
	if value <= 0 || value >= least {
		return nil
	}
	unit := "Second"
	if value >= time.Microsecond { // who writes 5000 has not seconds in mind
		unit = "Millisecond"
	}
	return fieldError(field, value, fmt.Sprintf("at least %v: a number without a unit is in nanoseconds, write %d*time.%s", least, value, unit))
}

// checkUnits looks for a duration without a unit.
func (d *Dialer) checkUnits() error {
	var hedge Hedge
	if d.Hedge != nil {
		hedge = *d.Hedge
	}
	for _, f := range []struct {
		field        string
		value, least time.Duration
	}{
		{"DialTimeout", d.DialTimeout, leastBound},
		{"CallTimeout", d.CallTimeout, leastBound},
		{"QueueTimeout", d.QueueTimeout, leastBound},
		{"Heartbeat", d.Heartbeat, leastBound},
		{"Hedge.Delay", hedge.Delay, leastSetting},
		{"Breaker.SlowCall", d.Breaker.SlowCall, leastSetting},
		{"Breaker.OpenFor", d.Breaker.OpenFor, leastBound},
		{"Breaker.MaxOpenFor", d.Breaker.MaxOpenFor, leastBound},
		{"Detector.FirstInterval", d.Detector.FirstInterval, leastSetting},
		{"Detector.AcceptablePause", d.Detector.AcceptablePause, leastSetting},
		{"Detector.MinStdDev", d.Detector.MinStdDev, leastSetting},
		{"Detector.MaxInterval", d.Detector.MaxInterval, leastSetting},
		{"Detector.MaxSilence", d.Detector.MaxSilence, leastSetting},
	} {
		if err := checkUnit(f.field, f.value, f.least); err != nil {
			return err
		}
	}
	return nil
}
