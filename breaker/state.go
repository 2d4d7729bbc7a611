package breaker

import "strconv"

// An Outcome is what a permitted call has shown about the endpoint.
type Outcome uint8

const (
	// Success says that the endpoint served the call. An error that the
	// application returned on purpose is a Success: the endpoint works.
	Success Outcome = iota
	// Failure says that the endpoint failed to serve the call: it could not
	// be reached, broke the connection, or did not answer in time.
	Failure
	// Ignored says that the call proves nothing, for example because the
	// caller gave up. It changes no statistic; a probe gives its permit back.
	// Values that are not an Outcome count as Ignored.
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

// A State is what a breaker does with calls.
type State uint8

const (
	// Closed lets every call through and counts its outcome.
	Closed State = iota
	// Open rejects every call until the open interval is over.
	Open
	// HalfOpen lets a few probes through and rejects the rest.
	HalfOpen
	// ForcedOpen rejects every call until Reset.
	ForcedOpen
	// Disabled lets every call through and counts nothing, until Reset or
	// ForceOpen.
	Disabled

	// unborn is the state of a breaker that has not been given a time yet.
	// It is never shown.
	unborn State = 255
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
