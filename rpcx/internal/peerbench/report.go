package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// root is the module's directory, from this one.
const root = "../../.."

// documents have blocks that the flag -write fills, each between two comments that
// readers do not see.
var documents = []string{"README.md", "docs/comparison.md"}

// report is what goes into the documents, by the names of the blocks.
type report map[string]string

// write replaces the blocks of the documents below dir of which there is a new version,
// and leaves the others.
func (r report) write(dir string) error {
	for _, name := range documents {
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		changed, err := r.fill(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if bytes.Equal(text, []byte(changed)) {
			continue
		}
		if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const (
	blockBegin, blockEnd = "<!-- peers: ", "<!-- peers end -->"
	commentEnd           = " -->\n"
)

// fill returns the text with its blocks replaced.
func (r report) fill(text string) (string, error) {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, blockBegin)
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		name, rest, ok := strings.Cut(rest, commentEnd)
		if !ok {
			return "", fmt.Errorf("%.40q is no name of a block", rest)
		}
		old, after, ok := strings.Cut(rest, blockEnd)
		if !ok || strings.Contains(old, blockBegin) {
			return "", fmt.Errorf("the block %q has no end", name)
		}
		if r[name] != "" {
			old = "\n" + strings.TrimSpace(r[name]) + "\n\n"
		}
		out.WriteString(blockBegin + name + commentEnd + old + blockEnd)
		text = after
	}
}

// markdown is the table as GitHub has it, without its title.
func (t *table) markdown() string {
	var out strings.Builder
	line := func(cells []string) {
		out.WriteString("| " + strings.ReplaceAll(strings.Join(cells, " | "), "\n", " ") + " |\n")
	}
	line(t.head)
	out.WriteString("|" + strings.Repeat("---|", len(t.head)) + "\n")
	for _, row := range t.rows {
		line(row)
	}
	for i, n := range t.notes {
		if i == 0 {
			out.WriteString("\n")
		}
		out.WriteString("- " + n + "\n")
	}
	return out.String()
}
