package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/yamux"
)

// Text is the plugin's service.
type Text struct{ broker *broker }

// A Document is a text with its words counted.
type Document struct {
	Title string
	Words map[string]int
	Parts []*Document
}

// Count counts the words of a text, paragraph by paragraph.
func (t *Text) Count(text string, doc *Document) error {
	if text == "" {
		return errors.New("the text is empty")
	}
	doc.Title, doc.Words = "document", make(map[string]int)
	for i, paragraph := range strings.Split(text, "|") {
		part := &Document{Title: fmt.Sprint("paragraph ", i+1), Words: make(map[string]int)}
		for _, word := range strings.Fields(paragraph) {
			part.Words[word]++
			doc.Words[word]++
		}
		doc.Parts = append(doc.Parts, part)
	}
	return nil
}

// Expansion is what Expand gets.
type Expansion struct {
	Template string
	Host     uint32 // where the host offers its values
}

// Expand replaces each $word of a template by the value that the host has for it.
func (t *Text) Expand(in Expansion, out *string) error {
	values, err := t.broker.dial(in.Host)
	if err != nil {
		return err
	}
	defer values.Close()
	words := strings.Fields(in.Template)
	for i, word := range words {
		if name, ok := strings.CutPrefix(word, "$"); ok {
			if err := values.Call("Values.Get", name, &words[i]); err != nil {
				return fmt.Errorf("the host says: %w", err)
			}
		}
	}
	*out = strings.Join(words, " ")
	return nil
}

// serve is the plugin's process, which ends with its host.
func serve() error {
	session, err := yamux.Server(stdio{os.Stdin, os.Stdout}, nil)
	if err != nil {
		return err
	}
	b := newBroker(session)
	if _, err := b.offer("Text", &Text{b}); err != nil {
		return err
	}
	b.run()
	return nil
}
