package detector

import "strconv"

// A Model is the probability distribution assumed for a live peer's silences.
type Model uint8

const (
	// LossAware, the default, is a mixture of distributions: one for each number of
	// heartbeats lost in a row, and a tail whose weight falls with the number of
	// intervals. It is calibrated: a live peer exceeds a phi of 1, 2, 3 and 4 in a share
	// of 10^-1 … 10^-4 of its intervals (without AcceptablePause), also with loss,
	// pauses and jitter, where the share under Normal can be a hundred times as large.
	// Higher levels are extrapolated. It keeps no window, and allocates nothing after
	// the first call.
	LossAware Model = iota

	// Normal is the model of the paper: the normal distribution with the mean and the
	// population variance of the window. Phi is exact for any silence. A computation by
	// 1-erf would end at 15.95, and Akka's approximation gives 8 where phi is 7.06.
	Normal

	// Exponential is Cassandra's model: phi = silence / (mean ln 10). It reaches 8
	// after 18.4 times the mean: it detects late, with few false alarms.
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
