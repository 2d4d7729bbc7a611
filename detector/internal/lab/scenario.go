package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"resilientrpc/detector"
)

// secondCrash returns the time of detection after a thousand regular beats, and
// that of a second crash after an outage of 300 s and ten more beats.
func secondCrash(w watcher, eta time.Duration) (first, second time.Duration) {
	at, seq := time.Duration(0), 0
	play := func(n int) time.Duration {
		for range n {
			w.hear(beat{seq, at, at + ms})
			at, seq = at+eta, seq+1
		}
		return w.deadline() - (at - eta + ms)
	}
	first = play(1000)
	at, seq = at+300*time.Second, seq+int(300*time.Second/eta)
	return first, play(10)
}

// localPause stops the observer of many peers just after it has asked them all.
// Their answers wait in its buffers until it has judged. It returns how many it
// convicted.
func localPause(r *rand.Rand, c detector.Config, peers int, length time.Duration, guarded bool) (convicted int) {
	const tick, slot = 250 * ms, time.Second
	type peer struct {
		*detector.Detector
		answer time.Duration // when the answer on its way arrives, 0 if none is
		gone   bool
	}
	all := make([]*peer, peers)
	for i := range all {
		all[i] = &peer{Detector: newAccrual(c).Detector}
	}
	var guard detector.Guard
	now, next := time.Duration(0), time.Duration(0)
	stop := 300*time.Second + times(slot, r.Float64())
	asked, paused := false, false
	for now < 600*time.Second {
		due := now + tick
		now = due
		if !paused && asked && now > stop {
			now += length
			paused = true
		} else {
			for _, p := range all {
				if p.answer > 0 {
					p.Heartbeat(epoch.Add(p.answer))
					p.answer = 0
				}
			}
		}
		if f := guard.Wake(epoch.Add(now), epoch.Add(due)); guarded && f.Excuses() {
			for _, p := range all {
				p.Excuse(epoch.Add(now))
			}
		}
		for _, p := range all {
			if !p.gone && p.Suspect(epoch.Add(now)) {
				convicted++
				p.gone = true
			}
			if p.answer > 0 && p.answer < now { // queued while we were paused
				p.Heartbeat(epoch.Add(now))
				p.answer = 0
			}
		}
		if asked = now >= next; asked {
			next = now + slot
			for _, p := range all {
				p.Expect(epoch.Add(now))
				p.answer = now + lognormal(r, 600*time.Microsecond, 0.4)
			}
		}
	}
	return convicted
}

// scenarios prints what happens after an outage and after a pause of our own.
// It returns how many peers were convicted under guard.
func scenarios(w io.Writer, seed uint64) (convicted int) {
	const eta = time.Second
	fmt.Fprintf(w, "\nA second crash, after an outage of 300 s and ten beats, one a second: T_D in seconds.\n\n")
	paper := detector.Config{Model: detector.Normal, MaxInterval: -1}
	for _, d := range []named{
		{"loss-aware", newAccrual(detector.Config{})},
		{"normal", newAccrual(detector.Config{Model: detector.Normal})},
		{"normal, as in the paper", newAccrual(paper)},
		{"exponential", newAccrual(detector.Config{Model: detector.Exponential})},
		{"Akka", newAkka(eta, 100*ms, 3*time.Second, 8)},
		{"Cassandra", newCassandra(eta)},
	} {
		first, second := secondCrash(d, eta)
		fmt.Fprintf(w, "%-24s first %6.3f  second %7.3f\n", d.name, first.Seconds(), second.Seconds())
	}

	const peers = 20
	fmt.Fprintf(w, "\nA pause of our own, with the answers of %d live peers queued: convictions.\n\n", peers)
	fmt.Fprintf(w, "%8s %10s %10s\n", "pause", "guarded", "unguarded")
	for i, length := range []time.Duration{200, 300, 500, 1000, 1500, 2000, 3000, 5000, 10_000} {
		length *= ms
		source := func() *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(200+i))) }
		with := localPause(source(), detector.Config{}, peers, length, true)
		fmt.Fprintf(w, "%8v %10d %10d\n", length, with, localPause(source(), detector.Config{}, peers, length, false))
		convicted += with
	}
	return convicted
}
