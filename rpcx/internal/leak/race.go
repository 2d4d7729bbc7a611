//go:build race

package leak

import "runtime"

// races is how many races the detector has reported.
func races() int { return runtime.RaceErrors() }
