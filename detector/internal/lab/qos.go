package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"resilientrpc/detector"
)

// quality is the measure of Chen, Toueg and Aguilera.
type quality struct {
	detection []time.Duration // T_D, sorted: silence until suspicion, without transit
	mistakes  int
	wrong     time.Duration // the sum of T_M
	lived     time.Duration
}

func (q *quality) mean() time.Duration {
	sum := 0.0
	for _, d := range q.detection {
		sum += float64(d)
	}
	return time.Duration(sum / float64(len(q.detection)))
}

// quantile returns the least T_D that a share p of crashes does not exceed.
func (q *quality) quantile(p float64) time.Duration {
	return q.detection[min(len(q.detection)-1, int(p*float64(len(q.detection))))]
}

func (q *quality) max() time.Duration { return q.detection[len(q.detection)-1] }

// rate is λ_M, mistakes in a second.
func (q *quality) rate() float64 { return float64(q.mistakes) / q.lived.Seconds() }

// mistake is the mean T_M.
func (q *quality) mistake() time.Duration {
	if q.mistakes == 0 {
		return 0
	}
	return q.wrong / time.Duration(q.mistakes)
}

// accuracy is P_A, the share of the time in which the live peer is trusted.
func (q *quality) accuracy() float64 { return 1 - q.wrong.Seconds()/q.lived.Seconds() }

// watch plays beats to a watcher. A crash right after any beat is detected at
// the deadline; the beat after it tells whether the suspicion was a mistake.
func watch(w watcher, beats []beat, warm int) *quality {
	q := &quality{detection: make([]time.Duration, 0, len(beats))}
	for i, b := range beats[:len(beats)-1] {
		w.hear(b)
		if i < warm {
			continue
		}
		due, next := w.deadline(), beats[i+1].came
		q.detection = append(q.detection, max(0, due-b.came))
		if next > due {
			q.mistakes++
			q.wrong += next - max(due, b.came)
		}
	}
	q.lived = beats[len(beats)-1].came - beats[warm].came
	slices.Sort(q.detection)
	return q
}

// shipped are the detectors with the one setting that they are compared by.
func shipped(eta time.Duration) []named {
	return []named{
		{"loss-aware", newAccrual(bare(detector.LossAware, eta))},
		{"normal", newAccrual(bare(detector.Normal, eta))},
		{"exponential", newAccrual(bare(detector.Exponential, eta))},
		{"Akka", newAkka(eta, 100*ms, 3*time.Second, 8)},
		{"Akka scaled", newAkka(eta, eta/10, 3*eta, 8)},
		{"Cassandra", newCassandra(eta)},
		{"Chen", &chen{eta: eta, alpha: eta, long: newMean(1000)}},
		{"2W-FD", &chen{eta: eta, alpha: eta, long: newMean(1000), short: newMean(1)}},
		{"Bertier", &bertier{chen: chen{eta: eta, long: newMean(1000)}, phi: 4}},
		{"fixed, 3 periods", &fixed{timeout: 3 * eta}},
	}
}

type named struct {
	name string
	watcher
}

// hindsight is the least fixed timeout that makes no more than so many
// mistakes in these beats.
func hindsight(beats []beat, warm, mistakes int) time.Duration {
	gaps := make([]time.Duration, 0, len(beats))
	for i := warm; i+1 < len(beats); i++ {
		gaps = append(gaps, beats[i+1].came-beats[i].came)
	}
	slices.Sort(gaps)
	return gaps[max(0, len(gaps)-1-mistakes)]
}

// beatTable prints every detector with one setting on datagram heartbeats,
// where what is lost stays lost, and for each its worst workload.
func beatTable(w io.Writer, seed uint64, n int) {
	const eta, warm = 100 * ms, 1000
	fmt.Fprintf(w, "\nHeartbeats in datagrams: %d beats, one in %v; no floor and no pause for ours. T_D from the last beat,\n", n, eta)
	fmt.Fprintf(w, "without transit, and T_M in seconds; mistakes in an hour. Regret is T_D over that of the fixed timeout that,\n")
	fmt.Fprintf(w, "known in hindsight for the workload, makes as many mistakes.\n\n")
	fmt.Fprintf(w, "%-16s %-17s %7s %7s %7s %9s %7s %9s %7s\n", "workload", "detector", "T_D", "p99", "max", "mistakes", "T_M", "P_A", "regret")
	type worst struct{ detection, rate, regret float64 }
	worsts := map[string]*worst{}
	for i, l := range workloads {
		beats := l.make(rand.New(rand.NewPCG(seed, uint64(i))), n, eta)
		for _, d := range shipped(eta) {
			q := watch(d, beats, warm)
			regret := float64(q.mean()) / float64(hindsight(beats, warm, q.mistakes))
			fmt.Fprintf(w, "%-16s %-17s %7.3f %7.3f %7.3f %9.2f %7.3f %9.6f %7.2f\n", l.name, d.name, q.mean().Seconds(),
				q.quantile(0.99).Seconds(), q.max().Seconds(), q.rate()*3600, q.mistake().Seconds(), q.accuracy(), regret)
			x := worsts[d.name]
			if x == nil {
				x = new(worst)
				worsts[d.name] = x
			}
			x.detection = max(x.detection, q.mean().Seconds())
			x.rate = max(x.rate, q.rate()*3600)
			x.regret = max(x.regret, regret)
		}
	}
	fmt.Fprintf(w, "\nThe worst of all workloads for each, with one setting:\n\n%-17s %7s %9s %7s\n", "detector", "T_D", "mistakes", "regret")
	for _, d := range shipped(eta) {
		x := worsts[d.name]
		fmt.Fprintf(w, "%-17s %7.3f %9.2f %7.2f\n", d.name, x.detection, x.rate, x.regret)
	}
}
