package main

import "time"

// An outcome is the result of one contender's calls in a scenario.
type outcome struct {
	name                 string
	idempotent, failed   int
	others, othersFailed int
	duplicates           int // others that ran more than once, by the servers' journals
	hung                 int
	longest              time.Duration
	harmed               int    // calls that failed or took longer than harm
	divert, back         moment // see rig.outcome
}

// harm is what a call takes that is not in order; in order they take work.
const harm = 100 * time.Millisecond

// A moment is a time since something, or there is none.
type moment struct {
	after time.Duration
	kind  momentKind
}

type momentKind uint8

const (
	none  momentKind = iota // there was nothing to wait for
	some                    // after
	never                   // it was waited for in vain
)

func (m moment) String() string {
	switch m.kind {
	case some:
		return span(m.after)
	case never:
		return "never"
	}
	return "-"
}

// lateness is how near to a fault's end calls must be harmed for a contender to have
// never diverted them.
const lateness = 500 * time.Millisecond

// outcome sums up. A contender has diverted its calls when the last call begins that
// is harmed before the fault's end, and is back with the first that begins after the
// fault's end and is answered by the victim (if all were, by any).
func (r *rig) outcome(name string, records []record) outcome {
	o := outcome{name: name}
	if r.end != nil {
		o.back.kind = never
	}
	for _, c := range records {
		o.longest = max(o.longest, c.took)
		if c.took > r.hung {
			o.hung++
		}
		failed := 0
		if c.err != nil {
			failed = 1
		}
		if c.method.idempotent() {
			o.idempotent, o.failed = o.idempotent+1, o.failed+failed
		} else {
			o.others, o.othersFailed = o.others+1, o.othersFailed+failed
		}
		harmed := c.err != nil || c.took > harm
		if harmed {
			o.harmed++
		}
		switch {
		case r.end == nil: // there are several faults
		case harmed && c.began >= r.faulty && c.began < r.healed:
			o.divert = moment{max(o.divert.after, c.began-r.faulty), some}
		case c.err == nil && c.began >= r.healed && (r.whole || c.replica == victim+1):
			if after := c.ended() - r.healed; o.back.kind == never || after < o.back.after {
				o.back = moment{after, some}
			}
		}
	}
	if o.divert.kind == some && o.divert.after > r.healed-r.faulty-lateness {
		o.divert.kind = never
	}
	return o
}

func duplicates(records []record, ran map[uint64]int) int {
	n := 0
	for _, r := range records {
		if !r.method.idempotent() && ran[r.n] > 1 {
			n++
		}
	}
	return n
}

// success is the share of idempotent calls that succeeded.
func (o outcome) success() float64 {
	if o.idempotent == 0 {
		return 0
	}
	return 100 * float64(o.idempotent-o.failed) / float64(o.idempotent)
}
