//go:build race

package codec_test

// raceDetector says that sync.Pool drops what it is given at random.
const raceDetector = true
