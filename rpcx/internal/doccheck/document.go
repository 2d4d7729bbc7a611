package main

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// A document is a Markdown file.
type document struct {
	name   string // relative to the root, with slashes
	blocks []*block
	prose  []line
}

// A block is a fenced one.
type block struct {
	document string
	language string
	lines    []string
	line     int    // the number of the first
	comment  string // the HTML comment before it, if it begins with the language
}

func (b *block) text() string { return strings.Join(b.lines, "\n") + "\n" }

// A line is one outside of blocks.
type line struct {
	text   string
	number int
}

func read(root, name string) (*document, error) {
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	return parse(name, string(content))
}

var forBlock = regexp.MustCompile(`^<!-- (go|diff|sh):`)

// parse splits a document. A comment and its block may have empty lines between them.
func parse(name, content string) (*document, error) {
	d := &document{name: name}
	var open *block
	var comment string
	commenting := false
	for i, text := range strings.Split(content, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(text), "```")
		switch {
		case commenting:
			before, _, ended := strings.Cut(text, "-->")
			comment += "\n" + before
			commenting = !ended
		case open != nil && isFence:
			d.blocks = append(d.blocks, open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, text)
		case isFence:
			open = &block{document: name, language: fence, line: i + 2}
			var meant bool
			if open.comment, meant = strings.CutPrefix(comment, fence+":"); comment != "" && !meant {
				return nil, fmt.Errorf("%s:%d: the comment before the block is not for %q", name, i+1, fence)
			}
			comment = ""
		case forBlock.MatchString(text):
			var ended bool
			comment, _, ended = strings.Cut(strings.TrimPrefix(text, "<!-- "), "-->")
			commenting = !ended
		case strings.TrimSpace(text) != "" && comment != "":
			return nil, fmt.Errorf("%s:%d: there is no block after the comment", name, i+1)
		default:
			d.prose = append(d.prose, line{text, i + 1})
		}
	}
	if open != nil || commenting {
		return nil, fmt.Errorf("%s: a block or a comment has no end", name)
	}
	return d, nil
}

var links = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// deadLinks finds relative links whose file or heading does not exist.
func (d *document) deadLinks(root string) (wrong []error) {
	for _, l := range d.prose {
		for _, m := range links.FindAllStringSubmatch(l.text, -1) {
			u, err := url.Parse(m[1])
			if err == nil && u.Scheme == "" {
				err = d.follow(root, u)
			}
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s:%d: the link %s: %w", d.name, l.number, m[1], err))
			}
		}
	}
	return wrong
}

func (d *document) follow(root string, u *url.URL) error {
	to := d
	if u.Path != "" {
		name := path.Join(path.Dir(d.name), u.Path)
		if u.Fragment == "" {
			_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
			return err
		}
		var err error
		if to, err = read(root, name); err != nil {
			return err
		}
	}
	if u.Fragment == "" {
		return nil
	}
	for _, l := range to.prose {
		if heading := strings.TrimLeft(l.text, "#"); heading != l.text && anchor(heading) == u.Fragment {
			return nil
		}
	}
	return fmt.Errorf("%s has no heading for #%s", to.name, u.Fragment)
}

// anchor is the fragment by which GitHub links to a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}
