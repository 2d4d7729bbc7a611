package settings

import (
	"time"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// A setting is what a user might tune: its default, and fixed values beside it.
type setting struct {
	name   string
	values []value // the default first
}

type value struct {
	name string
	set  func(*rpcx.Dialer)
}

// byDefault changes nothing. It is compared by its name: it is measured once for all settings.
var byDefault = value{"default", func(*rpcx.Dialer) {}}

var hedged = value{"p95 (default)", func(d *rpcx.Dialer) { d.Hedge = &rpcx.Hedge{} }}

var settings = []setting{
	{"nothing", []value{byDefault, {"again", func(*rpcx.Dialer) {}}}}, // shows what is chance
	{"Breaker.ConsecutiveFailures", []value{
		byDefault,
		ofBreaker("2", func(b *breaker.Config) { b.ConsecutiveFailures = 2 }),
		ofBreaker("20", func(b *breaker.Config) { b.ConsecutiveFailures = 20 }),
	}},
	{"Breaker.FailureRatio", []value{byDefault, ofBreaker("0.25", func(b *breaker.Config) { b.FailureRatio = 0.25 })}},
	{"Breaker.OpenFor", []value{
		byDefault,
		ofBreaker("5s to 30s", func(b *breaker.Config) { b.OpenFor, b.MaxOpenFor = 5*time.Second, 30*time.Second }),
	}},
	{"Hedge.Delay", []value{hedged, hedge(30 * ms), hedge(100 * ms), hedge(300 * ms)}},
	{"Retry.Budget", []value{byDefault, budget("0.02", 0.02), budget("no limit", -1)}},
	{"DetectionTime", []value{byDefault, detection(250 * ms), detection(time.Second), detection(4 * time.Second)}},
	{"Hedge", []value{byDefault, hedged}},
}

func ofBreaker(name string, set func(*breaker.Config)) value {
	return value{name, func(d *rpcx.Dialer) { set(&d.Breaker) }}
}

func hedge(delay time.Duration) value {
	return value{delay.String(), func(d *rpcx.Dialer) { d.Hedge = &rpcx.Hedge{Delay: delay} }}
}

func budget(name string, share float64) value {
	return value{name, func(d *rpcx.Dialer) { d.Retry.Budget = share }}
}

func detection(within time.Duration) value {
	return value{within.String(), func(d *rpcx.Dialer) { d.DetectionTime = within }}
}
