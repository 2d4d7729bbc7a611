package detector

import "strconv"

// A Model is the law that silences of a living peer are taken to follow.
type Model uint8

const (
	// LossAware is the default: a mixture over the number of heartbeats lost
	// in a row, with a heavy tail that shrinks as evidence grows, calibrated by
	// counting, so that phi keeps its promise under loss, pauses and jitter,
	// where Normal is off by up to a hundred times. A living peer exceeds 1, 2, 3
	// and 4 in a share of 10^-1 … 10^-4 of its intervals, AcceptablePause apart;
	// higher levels are extrapolated. It keeps a handful of numbers and no
	// window, and allocates nothing after New and the first call.
	LossAware Model = iota

	// Normal is the paper's: the normal law with the mean and the population
	// variance of the window, exact at any tail: neither the cap of 15.95 of
	// 1-erf nor Akka's logistic, whose 8 is truly 7.06.
	Normal

	// Exponential is Cassandra's: phi = silence / (mean ln 10), which reaches 8
	// after 18.4 means. Slow, and hard to fool.
	Exponential
)

// String returns the name of the model.
func (m Model) String() string {
	switch m {
	case LossAware:
		return "loss-aware"
	case Normal:
		return "normal"
	case Exponential:
		return "exponential"
	}
	return "Model(" + strconv.Itoa(int(m)) + ")"
}
