package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// A viewer describes the state of things: the replicas as rpcx sees them, and
// how far the clients have come. It belongs to the screen's goroutine.
type viewer struct {
	name      func(addr string) string
	resilient *rpcx.Client // nil if there is none to look into
	loads     []*load

	began time.Time
	picks map[string]uint64 // at the last look
	calls map[string]int
}

func newViewer(name func(string) string, resilient *rpcx.Client, loads ...*load) *viewer {
	return &viewer{
		name: name, resilient: resilient, loads: loads, began: time.Now(),
		picks: make(map[string]uint64), calls: make(map[string]int),
	}
}

// look returns the state of things now; shares and rates are since the last look.
func (v *viewer) look() status {
	at := fmt.Sprintf("%5.0f s ", time.Since(v.began).Seconds())
	table := []string{"", fmt.Sprintf("%s %-16s %-9s %5s %6s %8s", at, "replica", "state", "phi", "share", "latency")}
	var replicas, rates []string
	for _, e := range v.endpoints() {
		latency, share := "-", e.state
		if e.share > 0 {
			latency = brief(e.Latency)
		}
		if e.state == "closed" {
			share = fmt.Sprintf("%.0f%%", e.share)
		}
		table = append(table, fmt.Sprintf("%8s %-16s %-9s %5.1f %5.0f%% %8s", "", e.name, e.state, e.Phi, e.share, latency))
		replicas = append(replicas, e.name+" "+share)
	}
	for _, l := range v.loads {
		calls, failed, open := l.tally.progress()
		rate := calls - v.calls[l.name]
		v.calls[l.name] = calls
		table = append(table, fmt.Sprintf("%8s %s: %d %s/s, %d failed, %d waiting", "", l.name, rate, plural(rate, "call"), failed, open))
		rates = append(rates, fmt.Sprintf("%s %d/s", l.name, rate))
	}
	return status{line: columned(at, append(rates, replicas...)), table: table}
}

// columned sets cells side by side, as many to a line as there is room for.
func columned(prefix string, cells []string) string {
	indent := strings.Repeat(" ", len(prefix))
	lines := []string{prefix}
	for _, c := range cells {
		if last := &lines[len(lines)-1]; len(*last)+1+len(c) <= columns || *last == indent {
			*last += " " + c + " "
		} else {
			lines = append(lines, indent+" "+c+" ")
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// seen is one replica as rpcx sees it.
type seen struct {
	rpcx.EndpointStats
	name  string
	state string
	share float64 // of the attempts since the last look, in percent
}

func (v *viewer) endpoints() []seen {
	if v.resilient == nil {
		return nil
	}
	var all []seen
	var total uint64
	for _, e := range v.resilient.Stats().Endpoints {
		picks := e.Picks
		if last := v.picks[e.Address]; last <= picks { // else the endpoint is a new one
			picks -= last
		}
		v.picks[e.Address] = e.Picks
		total += picks
		all = append(all, seen{EndpointStats: e, name: v.name(e.Address), state: stateOf(e), share: float64(picks)})
	}
	for i := range all {
		all[i].share *= 100 / float64(max(total, 1))
	}
	slices.SortFunc(all, func(a, b seen) int { return strings.Compare(a.name, b.name) })
	return all
}

// stateOf is the breaker's state, or what the detector thinks while it is closed.
func stateOf(e rpcx.EndpointStats) string {
	if e.State == breaker.Closed && e.Suspect {
		return "suspect"
	}
	return e.State.String()
}

// gossip reports what an rpcx client notices.
func gossip(say func(format string, args ...any), name func(addr string) string) *rpcx.ClientTrace {
	return &rpcx.ClientTrace{
		BreakerChanged: func(b rpcx.BreakerInfo) {
			switch replica := name(b.Endpoint); {
			case b.From == breaker.Closed:
				cause := strings.TrimPrefix(fmt.Sprint(b.Cause), "rpcx: ")
				say("rpcx: the breaker of %s opens: %s", replica, strings.ReplaceAll(cause, b.Endpoint, replica))
			case b.To == breaker.Closed:
				say("rpcx: the breaker of %s closes: it answered a ping", replica)
			}
		},
		Suspicion: func(s rpcx.SuspicionInfo) {
			switch replica := name(s.Endpoint); s.Verdict {
			case rpcx.Suspected:
				say("rpcx: %s is late to answer (phi %.1f): others are preferred", replica, s.Phi)
			case rpcx.Trusted:
				say("rpcx: %s answers in time again", replica)
			case rpcx.Convicted: // the breaker opens, and says why
			default:
				say("rpcx: %s is silent (phi %.1f), and not blamed: %v", replica, s.Phi, s.Verdict)
			}
		},
	}
}
