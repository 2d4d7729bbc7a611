package main

import (
	"strings"
	"unicode/utf8"
)

// columns is the width of a terminal in which no line of the demo has to be broken.
const columns = 60

// wrap returns a text behind a prefix, broken between words into lines of up to columns.
// All but the first line are indented by as much as the prefix takes.
func wrap(prefix, text string) string {
	indent := strings.Repeat(" ", utf8.RuneCountInString(prefix))
	var b strings.Builder
	b.WriteString(prefix)
	at, begun := len(indent), false
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case !begun:
		case at+1+n > columns:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, begun = at+n, true
	}
	return b.String()
}

// clip cuts a line off at columns.
func clip(line string) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:columns-1]) + "…"
}

// plural is a word, or its plural if n is not 1.
func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
