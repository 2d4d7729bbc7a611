package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func policyNamed(t *testing.T, name string) policy {
	t.Helper()
	for _, p := range policies {
		if p.name == name {
			return p
		}
	}
	t.Fatal("no policy ", name)
	return policy{}
}

func TestServerIsAQueueThatStalls(t *testing.T) {
	s := &server{service: 10}
	s.stall.from, s.stall.to = 100, 200
	for i, c := range []struct{ at, reply time.Duration }{
		{0, 10},
		{0, 20}, // behind the first
		{50, 60},
		{95, 205}, // the stall comes in the middle
		{120, 215},
		{300, 310},
	} {
		if got := s.reply(c.at); got != c.reply {
			t.Errorf("call %d, at %d: reply at %d, want %d", i, c.at, got, c.reply)
		}
	}
}

func TestBudgetAllowsATenthAndABurst(t *testing.T) {
	b, retries := newBudget(), 0
	for range 1000 {
		b.earn()
		if b.spend() {
			retries++
		}
	}
	if retries != 109 && retries != 110 { // sums of 0.1 are not exact
		t.Errorf("%d retries", retries)
	}
}

func TestSampleInterval(t *testing.T) {
	if got := (sample{1, 2, 3, 4, 5}).String(); got != "3.0 ± 2.0" { // 2.776 * sqrt(2.5/5)
		t.Error(got)
	}
}

// After the outage ours is far ahead of its peers' defaults, ahead of a tuned failsafe,
// and not far behind a tuned gobreaker; without a breaker, retries keep the server down.
func TestMetastability(t *testing.T) {
	const runs = 4
	for _, clients := range []int{1, 50} {
		goodput, recovery, _ := play(t, policyNamed(t, "ours, budget"), clients, stalls[0], runs)
		for name, ahead := range map[string]struct{ goodput, recovery float64 }{ // at least
			"gobreaker default":    {60, 35},
			"failsafe default":     {60, 35},
			"failsafe 5s, budget":  {5, 1.5},
			"gobreaker 5s":         {-6, -2.5},
			"gobreaker 1s, budget": {-10, -3.5},
		} {
			g, r, _ := play(t, policyNamed(t, name), clients, stalls[0], runs)
			t.Logf("%d clients: ours %v %%, %v s; %s %v %%, %v s", clients, goodput, recovery, name, g, r)
			if goodput.mean() < g.mean()+ahead.goodput || recovery.mean() > r.mean()-ahead.recovery {
				t.Errorf("ours has fallen behind beside %s", name)
			}
		}
		if _, r, _ := play(t, policyNamed(t, "no breaker"), clients, stalls[0], runs); r.mean() != unrecovered {
			t.Errorf("recovers without a breaker in %v s: this is no test", r)
		}
	}
}

func TestPartialFailure(t *testing.T) {
	serve := func(p policy, percent int) (served sample) {
		for seed := range uint64(3) {
			s, _ := partialFailure(t, p, percent, 2*time.Minute, seed)
			served.add(s)
		}
		return served
	}
	for _, p := range partialPolicies {
		switch served := serve(p, 40); p.name {
		case "ours":
			if served.mean() < 50 { // it may open by chance, of which two minutes see much
				t.Errorf("%s serves %v %%, ideal 60 %%", p.name, served)
			}
			if served := serve(p, 20); served.mean() < 79 {
				t.Errorf("%s serves %v %%, ideal 80 %%", p.name, served)
			}
		case "gobreaker default", "gobreaker 5s", "failsafe default":
			if served.mean() > 40 {
				t.Errorf("%s serves %v %% now", p.name, served)
			}
		}
	}
}

// The reasons for one breaker an endpoint, and against it.
func TestGranularity(t *testing.T) {
	measure := func(f fault, perMethod bool) (healthy, vain sample) {
		for seed := range uint64(3) {
			h := suffer(t, f, perMethod, 100, seed)
			healthy.add(h.healthy)
			vain.add(h.vain)
		}
		return healthy, vain
	}
	cold, hot, all := faults[0], faults[2], faults[3]
	if h, _ := measure(cold, false); h.mean() < 99.9 {
		t.Errorf("a method of ten fails: %v %% of the others served", h)
	}
	_, endpoint := measure(all, false)
	if _, method := measure(all, true); method.mean() < 1.5*endpoint.mean() {
		t.Errorf("all fail: %v calls in vain with one breaker, %v with ten", endpoint, method)
	}
	one, _ := measure(hot, false)
	if ten, _ := measure(hot, true); ten.mean() < 99.9 || one.mean() > 60 {
		t.Errorf("the hot method fails: %v %% of the others served with one breaker, %v with ten", one, ten)
	}
}

func TestTables(t *testing.T) {
	var out strings.Builder
	w := io.Writer(&out)
	printPartial(t, w, time.Second, 2)
	verdicts{1: {nil, io.EOF, nil, nil, nil}}.print(w)
	for _, want := range []string{"gobreaker 5s", "1 gobreaker window: EOF"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
