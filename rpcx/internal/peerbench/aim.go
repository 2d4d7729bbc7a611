package main

import (
	"fmt"
	"slices"
)

// An aim is something that rpcx set out to reach.
type aim struct {
	what string
	want float64
	got  float64
	most bool // want is an upper bound, and otherwise a lower one
	// why says what a miss comes from, as far as that is known.
	why string
}

func (a aim) met() bool {
	if a.most {
		return a.got <= a.want
	}
	return a.got >= a.want
}

// aimsOf are those that have to do with the speed of small calls.
func aimsOf(callers, size int, cells []cell) []aim {
	if size != 64 {
		return nil
	}
	of := func(name string) cell {
		return cells[slices.IndexFunc(cells, func(c cell) bool { return c.name == name })]
	}
	faster := func(name, than string) float64 { return 1 / of(name).against(of(than)) }
	const (
		lone  = "Breaker, detector and balancer take about 0.8 us a call. With one caller, ratios come and go by two tenths."
		stock = "The stock server takes more time for a call than the client does, and that is not ours: see its CPU."
		both  = "Both ends are as busy as can be; ratios come and go by a tenth."
	)
	switch callers {
	case 1:
		return []aim{
			{"time of one caller's call, rpcx against net/rpc", 1, of("rpcx").against(of(baseline)), true, lone},
			{"time of one caller's call, rpcx both ends against net/rpc", 1, of("rpcx both ends").against(of(baseline)), true, lone},
		}
	case 128:
		return []aim{
			{"throughput of 128 callers, rpcx both ends against net/rpc", 2, faster("rpcx both ends", baseline), false, both},
			{"throughput of 128 callers, rpcx both ends against grpc-go", 3, faster("rpcx both ends", "grpc-go"), false, both},
			{"throughput of 128 callers, rpcx with a stock server against net/rpc", 1.4, faster("rpcx", baseline), false, stock},
		}
	}
	return nil
}

func aimTable(aims []aim) *table {
	t := &table{title: "What rpcx aims at", head: []string{"", "aim", "is", "", "why"}}
	for _, a := range aims {
		bound, verdict, why := "at least ", "missed", a.why
		if a.most {
			bound = "at most "
		}
		if a.met() {
			verdict, why = "met", ""
		}
		t.add(a.what, bound+ratio(a.want), fmt.Sprintf("%.2f", a.got), verdict, why)
	}
	return t
}
