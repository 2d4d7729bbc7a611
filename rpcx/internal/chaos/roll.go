package chaos

import (
	"runtime"
	"testing"
	"time"

	"resilientrpc/codec"
)

// A Roll says how servers are restarted one after the other, as an update of them
// does it.
type Roll struct {
	Servers, Rounds int
	// Orderly servers serve with rpcx.Serve, and are asked to stop. Others are stock
	// servers, and killed.
	Orderly bool
	// Settle is the time from the start of one server to the stop of the next.
	Settle time.Duration
}

// RunRoll runs the load of cfg while the servers are restarted, and returns what
// came of it. Of the schedule and the faults of cfg it uses none.
func RunRoll(tb testing.TB, cfg Config, roll Roll) Report {
	tb.Helper()
	before := runtime.NumGoroutine()
	r := &rig{tb: tb, cfg: cfg}
	defer r.close()
	format := ""
	if roll.Orderly {
		format = "gob"
	}
	for range roll.Servers {
		r.servers = append(r.servers, startServer(tb, "127.0.0.1", format, cfg.Work))
	}
	r.add("rpcx gob", r.dial(codec.NewGobClient))
	if !roll.Orderly { // those speak gob only
		r.add("rpcx json", r.dial(codec.NewJSONClient))
		r.add("net/rpc gob", &ByHand{Addrs: r.addrs(), Patience: cfg.Patience, Idempotent: idempotent})
	}
	began := time.Now()
	for range roll.Rounds {
		for _, s := range r.servers {
			time.Sleep(roll.Settle) // real processes take real time
			if !roll.Orderly {
				s.Kill()
			} else if err := s.Stop(); err != nil {
				tb.Errorf("chaos: %s did not stop in order: %v", s.Addr, err)
			}
			s.Start()
		}
	}
	time.Sleep(roll.Settle) // likewise
	r.cfg.Length = time.Since(began)
	return r.finish(before)
}
