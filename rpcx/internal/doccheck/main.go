// Command doccheck keeps README.md and docs/*.md true. It must be run at the root of a
// clone; the gate's step "docs" does so.
//
//   - Every Go block must compile, as "go vet" checks it: a whole program as it is, and a
//     snippet inside of a function, or as declarations if it is some. Of a diff block, both
//     sides must. A package is imported if it is used; a snippet that needs more has it in
//     an HTML comment before it, which readers do not see:
//     <!-- go: declarations -->
//   - The shell blocks of README.md must succeed, one after the other, in an empty folder
//     in which the README's program is main.go. One that another step of the gate runs, or
//     that takes minutes, says so: <!-- sh: skipped: reason -->
//   - No line of a block is longer than 120 characters.
//   - What a relative link points to must exist, headings included.
//
// Problems are printed with the file and the line of the document.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"
)

const columns = 120

func main() {
	root, err := os.Getwd()
	if err != nil {
		fatal(err)
	}
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		fatal(err)
	}
	files = append([]string{"README.md"}, files...)
	tmp, err := os.MkdirTemp("", "doccheck")
	if err != nil {
		fatal(err)
	}
	ok := check(root, tmp, files)
	if err := os.RemoveAll(tmp); err != nil {
		fatal(err)
	}
	if !ok {
		os.Exit(1)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "doccheck:", err)
	os.Exit(1)
}

// check prints what is wrong with the documents of a clone, and reports whether they are
// true. The first of them is the one whose commands are run.
func check(root, tmp string, files []string) bool {
	var docs []*document
	for _, name := range files {
		d, err := read(root, name)
		if err != nil {
			fatal(err)
		}
		docs = append(docs, d)
	}
	var wrong []error
	for _, d := range docs {
		wrong = append(wrong, d.longLines()...)
		wrong = append(wrong, d.deadLinks(root)...)
	}
	n, err := compile(root, filepath.Join(tmp, "snippets"), docs)
	fmt.Printf("  %d Go blocks compiled\n", n)
	if err != nil {
		wrong = append(wrong, err)
	}
	if err := runCommands(root, filepath.Join(tmp, "example"), docs[0]); err != nil {
		wrong = append(wrong, err)
	}
	for _, err := range wrong {
		fmt.Println(err)
	}
	return len(wrong) == 0
}

func (d *document) longLines() (wrong []error) {
	for _, b := range d.blocks {
		for i, line := range b.lines {
			if n := utf8.RuneCountInString(line); n > columns {
				wrong = append(wrong, fmt.Errorf("%s:%d: %d columns in a block; want at most %d", d.name, b.line+i, n, columns))
			}
		}
	}
	return wrong
}
