package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

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
	var behind []string
	lost, longest := newChart("Idempotent calls that failed", "%"), newChart("Longest call", "s")
	for _, s := range scenarios {
		outcomes, err := play(ctx, s, t, contenders)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		resilienceTable(s, outcomes).print(out)
		lost.groups, longest.groups = append(lost.groups, s.name), append(longest.groups, s.name)
		for _, o := range outcomes {
			lost.add(o.name, 100-o.success())
			longest.add(o.name, o.longest.Seconds())
		}
		for _, lag := range lags(outcomes) {
			behind = append(behind, s.name+": "+lag)
		}
	}
	fmt.Fprintf(out, "\nWhere rpcx (stock server) is not as good as the best of the others (in reaction, of those that let no more calls fail):\n\n")
	if len(behind) == 0 {
		behind = []string{"nowhere"}
	}
	for _, b := range behind {
		fmt.Fprintln(out, "  "+b)
	}
	return errors.Join(lost.save(out.plots, "resilience failed"), longest.save(out.plots, "resilience longest"))
}

// lags compares rpcx with stock servers to those that are not rpcx.
func lags(outcomes []outcome) []string {
	var mine outcome
	var others []outcome
	for _, o := range outcomes {
		switch {
		case o.name == "rpcx":
			mine = o
		case !strings.HasPrefix(o.name, "rpcx"):
			others = append(others, o)
		}
	}
	return mine.behind(others)
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

// percent does not round up to 100 what is less.
func percent(x float64) string {
	if s := fmt.Sprintf("%.2f %%", x); s != "100.00 %" || x == 100 {
		return s
	}
	return "99.99 %"
}
