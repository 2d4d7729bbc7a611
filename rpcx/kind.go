package rpcx

import "regexp"

// figures are what differs between the texts of errors of one kind: ports, times, counts,
// and whether the detector's level is among them.
var figures = regexp.MustCompile(`([0-9][0-9.]*(ns|µs|ms|s|m|h)?(, phi )?)+`)

// kindOf returns what the texts of errors of one kind have in common, so that an error
// of another kind can be told from a repetition.
func kindOf(text string) string { return figures.ReplaceAllLiteralString(text, "#") }
