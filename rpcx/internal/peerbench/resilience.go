package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A trial is a scenario that was played, with the results by contender.
type trial struct {
	scenario
	outcomes []outcome
}

// runResilience plays every scenario, and prints a table for each.
func runResilience(ctx context.Context, out *output) error {
	t := fullTiming
	if out.quick {
		t = quickTiming
	}
	fmt.Fprintf(out, `
== Resilience: three server processes, %.0f calls a second by each contender, one in four not idempotent ==

All contenders have the same fault at the same time. A call takes %v when all is well. It has a deadline of %v where
there are deadlines, an attempt waits for %v, and a fault lasts %v. "Harmed" are calls that failed or took more than
%v, "hung" those that took more than %v. Divert: from the fault's beginning to the last call that was begun before its
end and harmed. Return: from its end to the first answer of the replica that had it. Duplicates are counted in the
servers' journals. Between the restarts of a rolling restart there are %v.
`, t.rate, work, whole, patience, t.hold, harm, t.hung, t.settle)
	var trials []trial
	var behind []lag
	lost, longest := newChart("Idempotent calls that failed", "%"), newChart("Longest call", "s")
	for _, s := range scenarios {
		outcomes, err := play(ctx, s, t, contenders)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		resilienceTable(s, outcomes).print(out)
		trials, behind = append(trials, trial{s, outcomes}), append(behind, lags(s.name, outcomes)...)
		lost.groups, longest.groups = append(lost.groups, s.name), append(longest.groups, s.name)
		for _, o := range outcomes {
			lost.add(o.name, 100-o.success())
			longest.add(o.name, o.longest.Seconds())
		}
	}
	where := lagTable(behind)
	where.print(out)
	out.aim(lagAim(behind))
	out.report["faults"], out.report["reactions"] = byScenario(trials, suffered).markdown(), byScenario(trials, reacted).markdown()
	out.report["behind"], out.report["frozen"] = where.markdown(), frozenTable(trials).markdown()
	return errors.Join(lost.save(out.plots, "resilience failed"), longest.save(out.plots, "resilience longest"))
}

func resilienceTable(s scenario, outcomes []outcome) *table {
	t := &table{
		title: s.name + ": " + s.what,
		head:  []string{"", "idempotent ok", "failed", "others failed", "duplicates", "hung", "longest", "harmed", "divert", "return"},
	}
	for _, o := range outcomes {
		t.add(o.name, percent(o.success()), fmt.Sprintf("%d of %d", o.failed, o.idempotent), fmt.Sprintf("%d of %d", o.othersFailed, o.others),
			fmt.Sprint(o.duplicates), fmt.Sprint(o.hung), span(o.longest.Round(time.Millisecond)), fmt.Sprint(o.harmed), o.divert.String(), o.back.String())
	}
	return t
}

// byScenario has a row for each contender, and a column for each scenario.
func byScenario(trials []trial, text func(outcome) string) *table {
	t := &table{head: []string{""}}
	for _, c := range trials {
		t.head = append(t.head, c.name)
	}
	for i, o := range trials[0].outcomes {
		row := []string{o.name}
		for _, c := range trials {
			row = append(row, text(c.outcomes[i]))
		}
		t.add(row...)
	}
	return t
}

// suffered says what became of calls.
func suffered(o outcome) string {
	text := share(o.failed, o.idempotent) + ", " + share(o.othersFailed, o.others) + ", " + span(o.longest)
	if o.hung > 0 {
		text += fmt.Sprintf(", %d hung", o.hung)
	}
	if o.duplicates > 0 {
		text += fmt.Sprintf(", %d twice", o.duplicates)
	}
	return text
}

// reacted says how long a fault was felt.
func reacted(o outcome) string { return fmt.Sprintf("%d, %v, %v", o.harmed, o.divert, o.back) }

// shown are the contenders of the short table of the README, and their names there.
var shown = [][2]string{
	{"net/rpc by hand", "net/rpc by hand"},
	{"net/rpc pool", "pool over yamux"},
	{"gobreaker+backoff", "gobreaker + backoff"},
	{"failsafe-go", "failsafe-go"},
	{"grpc-go+outlier", "grpc-go"},
	{"connect-go", "connect-go"},
	{"rpcx", "rpcx"},
}

// frozenTable has the shares of calls that fail while a replica is frozen.
func frozenTable(trials []trial) *table {
	c := trials[slices.IndexFunc(trials, func(c trial) bool { return c.name == "freeze" })]
	t := &table{head: []string{""}}
	idempotent, others := []string{"idempotent"}, []string{"others"}
	for _, s := range shown {
		o := c.outcomes[slices.IndexFunc(c.outcomes, func(o outcome) bool { return o.name == s[0] })]
		t.head = append(t.head, s[1])
		idempotent, others = append(idempotent, share(o.failed, o.idempotent)), append(others, share(o.othersFailed, o.others))
	}
	t.add(idempotent...)
	t.add(others...)
	return t
}

// share is a part in percent, with two digits.
func share(part, all int) string {
	x := 100 * float64(part) / float64(max(1, all))
	switch {
	case part == 0:
		return "0"
	case x < 9.95:
		return fmt.Sprintf("%.1f %%", max(x, 0.1)) // a few are not none
	}
	return fmt.Sprintf("%.0f %%", x)
}

// percent does not round up to 100 what is less.
func percent(x float64) string {
	if s := fmt.Sprintf("%.2f %%", x); s != "100.00 %" || x == 100 {
		return s
	}
	return "99.99 %"
}
