// Package config makes the errors of a configuration that is wrong: each names the field of the
// Dialer as its user has written it, and says what to write instead.
//
// The package holds no state, and imports nothing but the standard library.
package config

import (
	"errors"
	"fmt"
	"time"
)

const (
	// LeastBound is below what bounds a dial or a call over a network. LeastSetting is
	// below what any duration is that has a unit.
	LeastBound   = time.Millisecond
	LeastSetting = time.Microsecond
)

// CheckUnit returns an error for a duration that is positive, and so short that the unit
// is missing.
func CheckUnit(field string, value, least time.Duration) error {
	if value <= 0 || value >= least {
		return nil
	}
	unit := "Second"
	if value >= time.Microsecond { // who writes 5000 has not seconds in mind
		unit = "Millisecond"
	}
	return FieldError(field, value, fmt.Sprintf("at least %v: a number without a unit is in nanoseconds, write %d*time.%s", least, value, unit))
}

// FieldError says which field of a Dialer is wrong, and what to write instead.
func FieldError(field string, value any, want string) error {
	return fmt.Errorf("rpcx: Dialer.%s is %v; want %s", field, value, want)
}

// InDialer returns the error of a configuration that is the Dialer's field of that name, as
// its user has written it.
func InDialer(field string, err error) error {
	if e, ok := err.(interface{ In(config string) string }); ok {
		return errors.New("rpcx: " + e.In("Dialer."+field))
	}
	return err
}
