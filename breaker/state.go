package breaker

import "strconv"

// An Outcome is the result of a call, as evidence about the endpoint.
type Outcome uint8

const (
	// Success: the endpoint served the call. An error that the application returned
	// is a Success, too, since the endpoint works.
	Success Outcome = iota
	// Failure: the endpoint could not be reached, broke the connection, or did not
	// answer in time.
	Failure
	// Ignored: the call is no evidence, for example because its caller canceled it.
	// It changes no count, and the permit of a probe is free again. Undefined values
	// count as Ignored.
	Ignored
)

// String returns the outcome's name in lower case.
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case Failure:
		return "failure"
	case Ignored:
		return "ignored"
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}

// A State is the state of a breaker. The package comment has the transitions.
type State uint8

const (
	// Closed admits every call and counts its outcome.
	Closed State = iota
	// Open rejects every call until the open interval ends.
	Open
	// HalfOpen admits Config.Probes calls, the probes, and rejects all others.
	HalfOpen
	// ForcedOpen rejects every call until Reset.
	ForcedOpen
	// Disabled admits every call and counts nothing, until Reset or ForceOpen.
	Disabled

	// notStarted is the state before the first method call that passes a time. It is
	// not visible to callers.
	notStarted State = 255
)

// String returns the state's name in lower case, such as "half-open".
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	case ForcedOpen:
		return "forced-open"
	case Disabled:
		return "disabled"
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}
