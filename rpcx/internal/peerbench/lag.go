package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A criterion is one in which contenders are compared; less is better.
type criterion struct {
	name  string
	value func(outcome) float64
	text  func(outcome) string
	// slack is the difference that the machine's own unrest and chance explain.
	slack func(mine, theirs float64) float64
	// fair reports whether a peer competes; nil means that all do.
	fair func(mine, peer outcome) bool
}

const (
	failedIdempotent = "failed idempotent calls"
	duplicated       = "duplicates"
	hung             = "hung calls"
	failedOthers     = "other calls that failed"
	longestCall      = "longest call"
	divert           = "divert"
	comeback         = "return"
)

// For reliability only those compete that have no more calls hang, and in speed of
// reaction those that let no more calls fail, for to fail at once is easy. In the return
// those do not compete that have never left.
var criteria = []criterion{
	count(failedIdempotent, func(o outcome) int { return o.failed }, chance, func(mine, peer outcome) bool { return peer.hung <= mine.hung }),
	count(duplicated, func(o outcome) int { return o.duplicates }, exactly, nil),
	count(hung, func(o outcome) int { return o.hung }, exactly, nil),
	count(failedOthers, func(o outcome) int { return o.othersFailed }, chance, asReliable),
	lasting(longestCall, func(o outcome) moment { return moment{o.longest, some} }, asReliable),
	lasting(divert, func(o outcome) moment { return o.divert }, asReliable),
	lasting(comeback, func(o outcome) moment { return o.back }, func(mine, peer outcome) bool {
		return asReliable(mine, peer) && peer.divert.kind != never
	}),
}

func count(name string, value func(outcome) int, slack func(a, b float64) float64, fair func(mine, peer outcome) bool) criterion {
	return criterion{
		name, func(o outcome) float64 { return float64(value(o)) },
		func(o outcome) string { return fmt.Sprint(value(o)) }, slack, fair,
	}
}

func lasting(name string, value func(outcome) moment, fair func(mine, peer outcome) bool) criterion {
	return criterion{
		name, func(o outcome) float64 { return value(o).seconds() },
		func(o outcome) string { return value(o).String() },
		func(float64, float64) float64 { return (100 * time.Millisecond).Seconds() }, fair,
	}
}

// chance is twice the standard deviation of the difference of two counts of rare events.
func chance(mine, theirs float64) float64 { return 2 * math.Sqrt(mine+theirs) }

func exactly(float64, float64) float64 { return 0 }

func asReliable(mine, peer outcome) bool { return peer.failed <= mine.failed && peer.hung == 0 }

// seconds of a moment that there was no need for are none, and of one that never came
// are without end.
func (m moment) seconds() float64 {
	switch m.kind {
	case some:
		return m.after.Seconds()
	case never:
		return math.Inf(1)
	}
	return 0
}

// behind reports whether o is not as good as a peer.
func (m criterion) behind(o, peer outcome) bool {
	if m.fair != nil && !m.fair(o, peer) {
		return false
	}
	mine, theirs := m.value(o), m.value(peer)
	return mine > theirs && !(mine <= theirs+m.slack(mine, theirs))
}

// A lag is a criterion in which rpcx with its defaults and stock servers is not as good as
// the best of the others.
type lag struct {
	scenario   string
	measure    string
	mine, best string
	by         string   // whose the best is
	level      []string // the rows of rpcx that are as good as that
	reason     string   // "" if none is known
}

// lags compares rpcx to those that are not rpcx.
func lags(scenario string, outcomes []outcome) []lag {
	var ours, others []outcome
	for _, o := range outcomes {
		if strings.HasPrefix(o.name, "rpcx") {
			ours = append(ours, o)
		} else {
			others = append(others, o)
		}
	}
	i := slices.IndexFunc(ours, func(o outcome) bool { return o.name == "rpcx" })
	if i < 0 {
		return nil
	}
	mine := ours[i]
	var all []lag
	for _, m := range criteria {
		better := slices.DeleteFunc(slices.Clone(others), func(p outcome) bool { return !m.behind(mine, p) })
		if len(better) == 0 {
			continue
		}
		best := slices.MinFunc(better, func(a, b outcome) int { return int(math.Copysign(1, m.value(a)-m.value(b))) })
		l := lag{scenario: scenario, measure: m.name, mine: m.text(mine), best: m.text(best), by: best.name, reason: reasonFor(scenario, m.name)}
		for _, o := range ours {
			if !slices.ContainsFunc(better, func(p outcome) bool { return m.behind(o, p) }) {
				l.level = append(l.level, o.name)
			}
		}
		all = append(all, l)
	}
	return all
}

// reasons say why a peer can be better, by scenario and measure, or by measure for the
// scenarios that are not named.
var reasons = map[[2]string]string{
	{"", failedIdempotent}: "Repetitions have a budget, one for ten calls, so that retries do not add to an overload (Retry.Budget).",
	{"", failedOthers}:     "A call that is under way when its connection ends may have run. A server of Serve says what became of it.",
	{"", longestCall}:      "An attempt has no bound of its own: the detector ends it, which waits until a silence is improbable (DetectionTime).",
	{"", divert}:           "The detector judges by the length of a silence, and needs one that is improbable (DetectionTime).",
	{"", comeback}: "Pings probe a replica that was away, not calls: after a fifth of the time that it was away, 1 s at most if its host answers " +
		"(Breaker.MaxOpenFor shortens that). A client that dials for each call finds it with the next one, and has each call fail or wait until then.",

	{"rolling", failedOthers}: "A stock server that stops closes connections with calls under way. Serve finishes them and refuses new ones.",

	{"failing", failedIdempotent}: "Errors of net/rpc's methods are texts, and each is an answer unless Classify says otherwise; the peers have a code for it.",
	{"failing", failedOthers}:     "As for idempotent calls: without Classify, only the balancer avoids a replica that returns more errors than the others.",
	{"failing", divert}:           "The balancer gives a replica that returns errors few calls, but not none, for only these show that it is well again.",
	{"failing", comeback}:         "The balancer remembers the errors of a replica for some seconds, and gives it few calls until then.",
	{"slow", divert}:              "The balancer gives a slow replica few calls, but not none, for only these show that it is fast again.",
	{"slow", comeback}:            "The balancer remembers the latency of a replica for some seconds, and gives it few calls until then.",
	{"reset", divert}:             "A replica that has failed calls gets one now and then, for only that shows that it is well again.",
	{"reset", comeback}:           "A replica that has failed calls gets one after a quarter of that time, after 1 s at most if calls are many. A client that goes on calling it has those calls fail.",

	{"all down", failedIdempotent}: "By default a call fails while no replica is up. With WaitForReady it waits.",
	{"all down", failedOthers}:     "By default a call fails while no replica is up. With WaitForReady it waits.",
	{"all down", longestCall}:      "A call waits for a probe that is due within half a second, and with WaitForReady until a replica is back or its time is up.",
}

func reasonFor(scenario, measure string) string {
	if r := reasons[[2]string{scenario, measure}]; r != "" {
		return r
	}
	return reasons[[2]string{"", measure}]
}

// lagTable has a row for each lag.
func lagTable(all []lag) *table {
	t := &table{
		title: "Where a peer is better than rpcx with its defaults and stock servers",
		head:  []string{"", "", "rpcx", "best peer", "rows of rpcx that are as good", "reason"},
	}
	if len(all) == 0 {
		t.add("nowhere", "", "", "", "", "")
	}
	for _, l := range all {
		reason := l.reason
		if reason == "" {
			reason = "not known: a defect"
		}
		t.add(l.scenario, l.measure, l.mine, l.by+" "+l.best, cmp.Or(strings.Join(l.level, ", "), "none"), reason)
	}
	t.note("Counts differ if that is not by chance, times if by more than 100ms. In reaction, those compete that let no more calls fail.")
	return t
}

// lagAim is that no lag is without a reason.
func lagAim(all []lag) aim {
	unknown := 0
	for _, l := range all {
		if l.reason == "" {
			unknown++
		}
	}
	return aim{
		"cells of resilience in which a peer is better for no known reason", 0, float64(unknown), true,
		"A defect: see the table of these cells.",
	}
}
