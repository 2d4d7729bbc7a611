package main

import (
	"fmt"
	"io"
	"testing"
)

// verdicts are why each contender failed each hard case, in the order of
// contenders; nil where it passed.
type verdicts map[int][]error

func judge(t *testing.T) verdicts {
	v := make(verdicts)
	for _, c := range hardCases {
		for _, who := range contenders {
			v[c.number] = append(v[c.number], c.run(t, who))
		}
	}
	return v
}

func (v verdicts) print(w io.Writer) {
	fmt.Fprintf(w, "%-45s", "hard case")
	for _, who := range contenders {
		fmt.Fprintf(w, " %16s", who.name)
	}
	fmt.Fprintln(w)
	passed := make([]int, len(contenders))
	for _, c := range hardCases {
		fmt.Fprintf(w, "%2d %-42s", c.number, c.name)
		for i, err := range v[c.number] {
			word := "pass"
			if err != nil {
				word = "FAIL"
			} else {
				passed[i]++
			}
			fmt.Fprintf(w, " %16s", word)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%-45s", "passed")
	for _, n := range passed {
		fmt.Fprintf(w, " %13d/%d", n, len(hardCases))
	}
	fmt.Fprintln(w, "\n\nWhy:")
	for _, c := range hardCases {
		for i, err := range v[c.number] {
			if err != nil {
				fmt.Fprintf(w, "%2d %s: %v\n", c.number, contenders[i].name, err)
			}
		}
	}
}
