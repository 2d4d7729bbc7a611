//go:build !race

package realworld

// raceEnabled says that the programs are to be compiled as the test is.
const raceEnabled = false
