package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"resilientrpc/detector"
)

// A path says how long a ping sent at a time takes to be answered over a
// stream. Nothing is lost on a stream: what a network loses, TCP sends again,
// and the answer is late.
type path struct {
	name   string
	often  bool // one mistake in 10 hours is allowed, not in 100
	make   func(r *rand.Rand, end time.Duration) func(at time.Duration) time.Duration
	busy   bool // a call with a slow handler is always under way
	bursts bool // in a third of the time ten quick calls are made a second
}

var paths = []path{
	{name: "LAN jitter", make: func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return lognormal(r, 600*time.Microsecond, 0.4) }
	}},
	{name: "WAN bursts", make: burstyStream},
	{name: "loss 5 %", make: func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		drop := func(time.Duration) bool { return r.Float64() < 0.05 }
		return func(at time.Duration) time.Duration {
			there := transmit(at, drop) + 10*ms + exponential(r, 2*ms)
			return there + transmit(at+there, drop) + 10*ms + exponential(r, 2*ms)
		}
	}},
	{name: "drift", make: func(r *rand.Rand, end time.Duration) func(time.Duration) time.Duration {
		return func(at time.Duration) time.Duration {
			return 20*ms + times(280*ms, float64(at)/float64(end)) + exponential(r, 4*ms)
		}
	}},
	{name: "bufferbloat", make: func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		return func(at time.Duration) time.Duration { return 30*ms + queue(at) + exponential(r, 6*ms) }
	}},
	{name: "GC to 2.5 s", often: true, make: func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		from := exponential(r, 30*time.Second)
		to := from + pause(r, 2500*ms)
		return func(at time.Duration) time.Duration {
			for to < at {
				from = to + exponential(r, 30*time.Second)
				to = from + pause(r, 2500*ms)
			}
			rtt := ms + exponential(r, ms/2)
			if at >= from {
				rtt += to - at
			}
			return rtt
		}
	}},
	{name: "RPC bursts", bursts: true, make: func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return lognormal(r, 600*time.Microsecond, 0.4) }
	}},
	{name: "slow handlers", busy: true, make: func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return lognormal(r, 600*time.Microsecond, 0.4) }
	}},
}

// transmit returns how much later than the first attempt a segment leaves for
// good, with Linux's times for an otherwise idle connection: a tail loss probe
// (RFC 8985) and then the retransmission timer, least 200 ms, doubling.
func transmit(at time.Duration, drop func(time.Duration) bool) (late time.Duration) {
	wait := 200 * ms
	for n := 0; drop(at + late); n++ {
		late += wait
		if n > 0 {
			wait *= 2
		}
	}
	return late
}

// burstyStream is a path that is cut off for a moment every minute or two and
// in one of ten of these for up to 1.5 s.
func burstyStream(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
	var from, to time.Duration
	drop := func(at time.Duration) bool {
		for to <= at {
			from = to + exponential(r, 83*time.Second)
			length := 100 * ms
			if r.Float64() < 0.1 {
				length = min(1500*ms, times(length, 1/(1-r.Float64())))
			}
			to = from + length
		}
		return at >= from
	}
	return func(at time.Duration) time.Duration {
		there := transmit(at, drop) + 135*ms + exponential(r, 5*ms)
		return there + transmit(at+there, drop) + 135*ms + exponential(r, 5*ms)
	}
}

// A ping is one slot of a connection that is watched.
type ping struct{ called, sent, answered time.Duration }

// pings asks once a slot until end, and not while an answer is owed.
func (p path) pings(r *rand.Rand, slot, end time.Duration) []ping {
	rtt := p.make(r, end)
	var all []ping
	step := slot
	for at := slot; at < end; at += step {
		if step = slot; p.bursts && at%time.Minute < 20*time.Second {
			step = slot / 10 // and no ping: there was proof of life
		}
		x := ping{at, at, at + max(1, rtt(at))}
		if p.busy { // the server is asked all the time, but not for signs of life
			x.called -= times(slot, r.Float64())
			if n := len(all); n > 0 {
				x.called = max(x.called, all[n-1].answered)
			}
		}
		all = append(all, x)
		at += (x.answered - at).Truncate(step)
	}
	return all
}

// score is what a detector did on a path.
type score struct {
	owed  []time.Duration // from the first thing owed to conviction, sorted
	crash []time.Duration // from the crash to conviction, sorted
	wrong int
}

func (s *score) add(r *rand.Rand, last, owed time.Duration, p ping, due time.Duration) {
	crash := last + times(p.sent-last, r.Float64())
	if r.Float64() < (p.sent - last).Seconds() { // a crash is as likely in any second
		s.owed = append(s.owed, due-owed)
		s.crash = append(s.crash, max(0, due-crash))
	}
	if p.answered >= due {
		s.wrong++
	}
}

func (s *score) sorted() *score {
	slices.Sort(s.owed)
	slices.Sort(s.crash)
	return s
}

// ask plays pings to a detector of what is owed.
func ask(r *rand.Rand, c detector.Config, all []ping, warm int) *score {
	d := newAccrual(c)
	s := new(score)
	var last time.Duration
	for i, p := range all {
		d.Expect(epoch.Add(p.called))
		d.Expect(epoch.Add(p.sent))
		due := d.deadline()
		if i >= warm {
			s.add(r, last, p.called, p, due)
		}
		if p.answered >= due {
			d.Forget(epoch.Add(p.answered))
		} else {
			d.Heartbeat(epoch.Add(p.answered))
		}
		last = p.answered
	}
	return s.sorted()
}

// overhear plays their answers to a detector of regular beats.
func overhear(r *rand.Rand, w watcher, all []ping, warm int) *score {
	s := new(score)
	var last time.Duration
	for i, p := range all {
		if i >= warm {
			s.add(r, last, last, p, w.deadline())
		}
		w.hear(beat{seq: i, sent: p.sent, came: p.answered})
		last = p.answered
	}
	return s.sorted()
}

// oracle is the least fixed timeout that makes no more mistakes than allowed,
// found with the knowledge of the whole trace.
func oracle(all []ping, warm, allowed int) time.Duration {
	var gaps []time.Duration
	for i := warm; i < len(all); i++ {
		gaps = append(gaps, all[i].answered-all[i-1].answered)
	}
	slices.Sort(gaps)
	return gaps[len(gaps)-1-allowed] + 1
}

func quantile(d []time.Duration, p float64) time.Duration {
	return d[min(len(d)-1, int(p*float64(len(d))))]
}

func average(d []time.Duration) time.Duration {
	sum := 0.0
	for _, x := range d {
		sum += float64(x)
	}
	return time.Duration(sum / float64(len(d)))
}

// oneSetting prints every detector's figures on every path, each with the one
// setting that it is shipped with, and reports whether ours kept its targets.
func oneSetting(w io.Writer, seed uint64, hours int) (kept bool) {
	const slot, warm = time.Second, 100
	kept = true
	end := time.Duration(hours) * time.Hour
	fmt.Fprintf(w, "\nOne setting everywhere: a ping every %v over a stream for %d hours, seconds.\n", slot, hours)
	fmt.Fprintf(w, "T_D from the first thing owed, or for those that know only beats from the last beat; and from a crash\n")
	fmt.Fprintf(w, "at any time in the slot. The oracle is the best fixed timeout for one mistake in 100 hours (10 under GC).\n\n")
	fmt.Fprintf(w, "%-14s %-20s %7s %7s %7s   %7s %7s %7s   %s\n", "path", "detector",
		"mean", "p99", "max", "crash", "p99", "max", "mistakes in 100 h")
	for i, p := range paths {
		source := func() *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(100+i))) }
		all := p.pings(source(), slot, end)
		allowed := hours / 100
		if p.often {
			allowed = hours / 10
		}
		for _, row := range []struct {
			name  string
			score *score
		}{
			{"loss-aware", ask(source(), detector.Config{}, all, warm)},
			{"normal, owed", ask(source(), detector.Config{Model: detector.Normal}, all, warm)},
			{"oracle timeout", overhear(source(), &fixed{timeout: oracle(all, warm, allowed)}, all, warm)},
			{"Akka as shipped", overhear(source(), newAkka(slot, 100*ms, 3*time.Second, 8), all, warm)},
			{"Akka, pause 0.5 s", overhear(source(), newAkka(slot, 100*ms, 500*ms, 8), all, warm)},
			{"Cassandra", overhear(source(), newCassandra(slot), all, warm)},
		} {
			s := row.score
			per100 := float64(s.wrong) * 100 / float64(hours)
			fmt.Fprintf(w, "%-14s %-20s %7.2f %7.2f %7.2f   %7.2f %7.2f %7.2f   %.1f\n", p.name, row.name,
				average(s.owed).Seconds(), quantile(s.owed, 0.99).Seconds(), quantile(s.owed, 1).Seconds(),
				average(s.crash).Seconds(), quantile(s.crash, 0.99).Seconds(), quantile(s.crash, 1).Seconds(), per100)
			if row.name == "loss-aware" && (s.wrong > allowed || quantile(s.owed, 0.99) > 2500*ms) {
				kept = false
			}
		}
	}
	return kept
}
