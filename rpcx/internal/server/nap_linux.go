package server

import (
	"syscall"
	"time"
)

// nap blocks the goroutine's thread. A timer of the runtime would be cheaper if the
// process did nothing else, but here a thread waits for requests all the time, and a timer
// that is due in a millisecond would bound each of its waits, for which the kernel sets
// and cancels a timer of its own. Besides, no timer of the runtime fires in time while a
// method computes on the only thread that is awake.
func nap(d time.Duration) {
	left := syscall.NsecToTimespec(int64(d))
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}
