//go:build !race

package server

// raceDetector says that a model's steps take ten times as long. As one goroutine it has no
// races, and takes fewer then: the whole is for a run without the detector.
const raceDetector = false
