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

// beatTable prints every detector with one setting on datagram heartbeats,
// where what is lost stays lost.
func beatTable(w io.Writer, seed uint64, n int) {
	const eta, warm = 100 * ms, 1000
	fmt.Fprintf(w, "\nHeartbeats in datagrams: %d beats, one in %v. T_D from the last beat without transit, T_M mean, in seconds;\n", n, eta)
	fmt.Fprintf(w, "λ_M in mistakes per hour. Oracle: the fixed timeout with loss-aware's mean T_D. No detector sees the end of a burst.\n\n")
	fmt.Fprintf(w, "%-16s %-14s %7s %7s %7s %10s %7s %10s\n", "workload", "detector", "T_D", "p99", "max", "λ_M", "T_M", "P_A")
	for i, l := range workloads {
		beats := l.make(rand.New(rand.NewPCG(seed, uint64(i))), n, eta)
		row := func(name string, d watcher) *quality {
			q := watch(d, beats, warm)
			fmt.Fprintf(w, "%-16s %-14s %7.3f %7.3f %7.3f %10.2f %7.3f %10.6f\n", l.name, name, q.mean().Seconds(),
				q.quantile(0.99).Seconds(), q.max().Seconds(), q.rate()*3600, q.mistake().Seconds(), q.accuracy())
			return q
		}
		q := row("loss-aware", newAccrual(bare(detector.LossAware, eta)))
		row("oracle timeout", &fixed{timeout: q.mean()})
		row("normal", newAccrual(bare(detector.Normal, eta)))
		row("Akka scaled", newAkka(eta, eta/10, 3*eta, 8))
		row("Akka, 3 s", newAkka(eta, 100*ms, 3000*ms, 8))
		row("Cassandra", newCassandra(eta))
		row("Chen", &chen{eta: eta, alpha: eta, long: newMean(1000)})
		row("2W-FD", &chen{eta: eta, alpha: eta, long: newMean(1000), short: newMean(1)})
		row("Bertier", &bertier{chen: chen{eta: eta, long: newMean(1000)}, phi: 4})
	}
}
