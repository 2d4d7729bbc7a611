//go:build !race

package rpcx_test

const raceDetector = false
