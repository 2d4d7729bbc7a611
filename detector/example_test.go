package detector_test

import (
	"fmt"
	"time"

	"resilientrpc/detector"
)

// A peer is asked for a sign of life once a second, and dies.
func Example() {
	d, err := detector.New(detector.Config{})
	if err != nil {
		panic(err)
	}
	now := time.Date(2004, time.April, 3, 0, 0, 0, 0, time.UTC)
	for range 1000 {
		d.Expect(now)                              // a ping leaves
		d.Heartbeat(now.Add(2 * time.Millisecond)) // and is answered
		now = now.Add(time.Second)
	}
	d.Expect(now) // this one is not
	for _, silence := range []time.Duration{0, 1600, 2500} {
		at := now.Add(silence * time.Millisecond)
		fmt.Printf("%4d ms: phi above 1: %-5v suspect: %v\n", silence, d.Phi(at) > 1, d.Suspect(at))
	}
	fmt.Println("found out within 2.5 s:", d.Deadline(8).Sub(now) <= 2500*time.Millisecond)
	// Output:
	//    0 ms: phi above 1: false suspect: false
	// 1600 ms: phi above 1: true  suspect: false
	// 2500 ms: phi above 1: true  suspect: true
	// found out within 2.5 s: true
}

// The user says how soon a death must be noticed; the rest follows.
func ExamplePlan() {
	s, err := detector.Plan(2 * time.Second)
	if err != nil {
		panic(err)
	}
	fmt.Println("a ping every", s.Interval, "convicts after", s.Config.MaxSilence)
	// Output:
	// a ping every 500ms convicts after 1.25s
}

// A loop that judges peers asks the guard first whether it is at fault itself.
func ExampleGuard() {
	var guard detector.Guard
	due := time.Now()
	for _, late := range []time.Duration{0, 3 * time.Second} {
		now := due.Add(late)
		if fault := guard.Wake(now, due); fault.Excuses() {
			fmt.Println("our fault:", fault) // call Excuse on every Detector
		}
		due = now.Add(time.Second)
	}
	// Output:
	// our fault: paused
}
