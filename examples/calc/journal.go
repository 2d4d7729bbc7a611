package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A journal is a replica's list of executed call ids, one a line. It outlives
// a SIGKILL: what write(2) has taken belongs to the kernel.
type journal struct{ f *os.File }

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{f}, nil
}

// append records one execution. A nil journal keeps none.
func (j *journal) append(id string) error {
	if j == nil {
		return nil
	}
	if id == "" || strings.ContainsAny(id, "\r\n") {
		return fmt.Errorf("deposit id %q: want one line that is not empty", id)
	}
	_, err := j.f.WriteString(id + "\n") // one write: O_APPEND keeps lines whole
	return err
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.f.Close()
}

// executions adds up how often each call id was executed, over all journals.
// A journal that was never written counts as empty.
func executions(paths ...string) (map[string]int, error) {
	runs := make(map[string]int)
	for _, path := range paths {
		if err := addExecutions(runs, path); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

func addExecutions(runs map[string]int, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		runs[lines.Text()]++
	}
	return lines.Err()
}
