package main

import (
	"fmt"
	"net/rpc"
	"time"
)

// gaps are the times between a slow request and the short one behind it, by turns: sent
// together, just before and after the server has begun with the slow one.
var gaps = [...]time.Duration{0, 50 * time.Microsecond, 100 * time.Microsecond, 300 * time.Microsecond}

// surprise is how long a method that is usually short takes by surprise.
const surprise = 20 * time.Millisecond

// behindSlow returns the quantile q of the times of short calls, each made just after one
// of a method that takes twice as long as the round: 1 s by default. In microseconds.
func behindSlow(q float64) measure {
	return func(c client, d time.Duration) (float64, error) {
		var slow []*rpc.Call
		var took []float64
		one, stop := newCaller(c, 0), after(d)
		for i := 0; i == 0 || !stop.Load(); i++ {
			time.Sleep(time.Millisecond) // let the connection be idle
			slow = append(slow, goSlow(c, 2*d))
			t, err := timeAfter(one, gaps[i%len(gaps)])
			if err != nil {
				return 0, err
			}
			took = append(took, t)
		}
		for _, call := range slow {
			if err := finish(call); err != nil {
				return 0, err
			}
		}
		return quantile(took, q), nil
	}
}

// behindSurprise returns the longest of the times of short calls, each made just after
// one of a method that took no time before, and now takes 20 ms. In microseconds.
func behindSurprise(c client, d time.Duration) (longest float64, err error) {
	one, stop := newCaller(c, 0), after(d)
	for i := 0; i == 0 || !stop.Load(); i++ {
		for range 300 { // so that it is known as a short one
			if err := finish(goSlow(c, 0)); err != nil {
				return 0, err
			}
		}
		slow := goSlow(c, surprise)
		t, err := timeAfter(one, gaps[i%len(gaps)])
		if err != nil {
			return 0, err
		}
		longest = max(longest, t)
		if err := finish(slow); err != nil {
			return 0, err
		}
	}
	return longest, nil
}

// goSlow begins a call of the method that takes as long as it is told to.
func goSlow(c client, d time.Duration) *rpc.Call {
	return c.Go("Arith.MultiplyAfter", Args{int(d), 3}, new(Reply), make(chan *rpc.Call, 1))
}

// finish waits for such a call and checks its reply.
func finish(call *rpc.Call) error {
	<-call.Done
	if call.Error != nil {
		return call.Error
	}
	args, reply := call.Args.(Args), call.Reply.(*Reply)
	if reply.C != args.A*args.B {
		return fmt.Errorf("the reply to %d*%d is %d", args.A, args.B, reply.C)
	}
	return nil
}

// timeAfter makes a call after a gap, and returns how long it takes in microseconds.
func timeAfter(one *caller, gap time.Duration) (float64, error) {
	for begin := time.Now(); time.Since(begin) < gap; { // a timer would take a millisecond
	}
	begin := time.Now()
	err := one.call()
	return micros(time.Since(begin)), err
}
